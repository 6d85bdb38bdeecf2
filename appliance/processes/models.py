"""Rows of the processes themselves."""

from django.db import models


class Follower(models.Model):
    """How far a reader of the journal has come."""

    name = models.CharField(max_length=50, primary_key=True)
    position = models.CharField(max_length=50)

    def __str__(self) -> str:
        return f"{self.name} {self.position}"


class PartBeat(models.Model):
    """The last sign of life of a process, with what it says of itself."""

    part = models.CharField(max_length=30, primary_key=True)
    at = models.DateTimeField()
    healthy = models.BooleanField(default=True)
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.part


class CommandAnswered(models.Model):
    """A command by MQTT that was answered: the same one, sent again, gets the same answer and does nothing."""

    key = models.CharField(max_length=250, primary_key=True)
    at = models.DateTimeField(db_index=True)
    reply = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.key


class ChatStart(models.Model):
    """A run that somebody started in a chat, and where its end is to be told."""

    run_id = models.UUIDField(primary_key=True)
    platform = models.CharField(max_length=64)
    conversation = models.CharField(max_length=200)
    language = models.CharField(max_length=10, default="en")
    answers = models.BooleanField(default=False)
    """Whether what its agent comes to is told, in place of its end."""
    told_of = models.UUIDField(null=True)
    """The last approval that was told to whoever asked."""
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.run_id} on {self.platform}"


class PartEdge(models.Model):
    """The last change of a part's health that was told."""

    part = models.CharField(max_length=30, primary_key=True)
    healthy = models.BooleanField()
    since = models.DateTimeField()
    message = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.part} {self.healthy}"
