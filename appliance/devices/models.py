"""Devices that have an account of their own on the embedded broker."""

from django.db import models


class Device(models.Model):
    """One device: its MQTT account, and the topics that the account may use.

    ``password_hash`` is what the broker reads (bcrypt); the password itself was shown once and is not kept.
    After ``silence_seconds`` without a message or an open connection it counts as offline.
    """

    name = models.CharField(max_length=48, unique=True)
    username = models.CharField(max_length=64, unique=True)
    password_hash = models.CharField(max_length=100)
    publish = models.JSONField(default=list)
    subscribe = models.JSONField(default=list)
    silence_seconds = models.IntegerField(default=300)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Presence(models.Model):
    """Whether a device is there, and when it last gave a sign: a message, or an open connection."""

    name = models.CharField(max_length=48, primary_key=True)
    state = models.CharField(max_length=10)
    since = models.DateTimeField()
    last_seen = models.DateTimeField()
    connected = models.BooleanField(null=True)
    """None where the broker does not tell."""

    def __str__(self) -> str:
        return f"{self.name} {self.state}"
