"""Rows of conversations: with whom, what was said, what people said no to, and what is remembered."""

from typing import ClassVar

from django.db import models

from appliance.agent.conversations.domain import ConversationKind, NoteScope, NoteState, Speaker


class AgentConversation(models.Model):
    """One for each person, in all their private chats, and one for each room."""

    kind = models.CharField(max_length=10, choices=[(one.value, one.value) for one in ConversationKind])
    person = models.CharField(max_length=150, blank=True, default="")
    """The user name; empty for a room."""
    platform = models.CharField(max_length=64, blank=True, default="")
    room = models.CharField(max_length=200, blank=True, default="")
    """What the platform calls the room; both are empty for a person."""
    fresh_after = models.BigIntegerField(default=0)
    """Messages up to this number are not told any more: a new conversation was begun."""
    created_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        app_label = "agent"
        db_table = "agent_conversation"
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["kind", "person", "platform", "room"], name="agent_conversation_identity"
            )
        ]

    def __str__(self) -> str:
        return self.person or f"{self.platform}/{self.room}"


class AgentMessage(models.Model):
    """What somebody said. The number is the order."""

    conversation = models.ForeignKey(AgentConversation, on_delete=models.CASCADE, related_name="messages")
    speaker = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Speaker])
    author = models.CharField(max_length=150)
    """The user name, or the task that answered."""
    text = models.TextField()
    platform = models.CharField(max_length=64, blank=True, default="")
    place = models.CharField(max_length=200, blank=True, default="")
    """The platform's own conversation in which it was said."""
    outside = models.BooleanField(default=True)
    """Whether it comes from outside for whoever is told it later."""
    run_id = models.UUIDField(null=True)
    """The run that it has started, or that has answered."""
    key = models.CharField(max_length=250, blank=True, default="")
    """The same for a message that is handled, or an answer that is given, a second time."""
    told_after = models.BigIntegerField(null=True)
    told_upto = models.BigIntegerField(null=True)
    """Of a message that started a run: what was said between these numbers is what its turns are told."""
    told_denials = models.BigIntegerField(null=True)
    """And the last denial that they are told of."""
    over = models.BooleanField(default=False, db_default=False)
    """Of a message that started a run: it has ended. Who looks for what is under way looks past it."""
    detail = models.JSONField(default=dict)
    """Of an answer: what the rows say was done and not done. Of a question: the language of who asked."""
    at = models.DateTimeField()

    class Meta:
        app_label = "agent"
        db_table = "agent_message"
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["conversation", "-id"], name="agent_message_page"),
            models.Index(fields=["at"], name="agent_message_at"),
            models.Index(
                fields=["conversation", "author"],
                condition=models.Q(speaker=Speaker.PERSON.value),
                name="agent_message_people",
            ),
            models.Index(
                fields=["conversation", "id"],
                condition=models.Q(speaker=Speaker.PERSON.value, over=False, run_id__isnull=False),
                name="agent_message_under_way",
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["run_id"],
                condition=models.Q(speaker=Speaker.PERSON.value),
                name="agent_message_asks",
            ),
            models.UniqueConstraint(
                fields=["key", "speaker"], condition=~models.Q(key=""), name="agent_message_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:40]}"


class AgentDenial(models.Model):
    """A call that somebody said no to. It stays where a conversation is begun anew, or forgotten."""

    conversation = models.ForeignKey(AgentConversation, on_delete=models.CASCADE, related_name="denials")
    run_id = models.UUIDField()
    """The run that people see."""
    call = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        app_label = "agent"
        db_table = "agent_denial"
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["conversation", "-id"], name="agent_denial_page"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run_id", "call"], name="agent_denial_once")
        ]

    def __str__(self) -> str:
        return self.call[:40]


class AgentNote(models.Model):
    """What an agent wants to remember, or a person has told it to keep to."""

    scope = models.CharField(max_length=10, choices=[(one.value, one.value) for one in NoteScope])
    person = models.CharField(max_length=150, blank=True, default="")
    """Of scope ``person``: whose it is."""
    conversation = models.ForeignKey(
        AgentConversation, on_delete=models.CASCADE, null=True, related_name="notes"
    )
    """Of scope ``room``: which one."""
    text = models.CharField(max_length=240)
    state = models.CharField(max_length=10, choices=[(one.value, one.value) for one in NoteState])
    standing = models.BooleanField(default=False)
    """Whether it is, or was, an instruction of a person."""
    proposed_by = models.CharField(max_length=200)
    run_id = models.UUIDField(null=True)
    """The run that proposed it."""
    reviewed_by = models.CharField(max_length=200, blank=True, default="")
    reviewed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        app_label = "agent"
        db_table = "agent_note"
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["scope", "person", "state"], name="agent_note_whose"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["run_id", "scope", "text"],
                condition=models.Q(run_id__isnull=False),
                name="agent_note_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.text[:40]} ({self.state})"
