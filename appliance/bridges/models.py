"""Platforms, chat identities and the people behind them, the durable inbox, and the box's own chats."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from appliance.bridges.domain import InboundState


class Platform(models.Model):
    """A configured platform. ``config`` is its entry of the file, with literal secrets sealed."""

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=64)
    config = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    enabled = models.BooleanField(default=True)
    default_conversation = models.CharField(max_length=200, blank=True)
    webhook_path = models.CharField(max_length=300, blank=True, db_index=True)
    revision = models.IntegerField(default=1)
    cursor = models.CharField(max_length=200, blank=True)
    cursor_at = models.DateTimeField(null=True)
    health = models.JSONField(default=dict)
    health_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    round_trip_ms = models.FloatField(null=True)
    """Of the last round trip that came back."""
    deaf_since = models.DateTimeField(null=True)
    deaf_told = models.BooleanField(default=False, db_default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class ChatIdentity(models.Model):
    """Somebody on a platform. Without a person of this box behind it, it can do nothing."""

    platform = models.CharField(max_length=64)
    user_id = models.CharField(max_length=200)
    display_name = models.CharField(max_length=200, blank=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="chat_identities"
    )
    linked_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    last_conversation = models.CharField(max_length=200, blank=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    refused = models.IntegerField(default=0)
    tries = models.SmallIntegerField(default=0, db_default=0)
    tried_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-last_seen"]
        constraints = [
            models.UniqueConstraint(fields=["platform", "user_id"], name="bridges_identity_of_platform")
        ]

    def __str__(self) -> str:
        return f"{self.platform}/{self.user_id}"


class PairingCode(models.Model):
    """Shown once to a person, who says it in a chat to be known there. Only its digest is kept."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pairing_code"
    )
    digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "bridges_pairing"

    def __str__(self) -> str:
        return f"for {self.person_id}"


class Inbound(models.Model):
    """An event as a platform gave it, committed before anything else is done with it."""

    bridge = models.CharField(max_length=64)
    event_id = models.CharField(max_length=200)
    payload = models.JSONField()
    state = models.CharField(
        max_length=8, default=InboundState.RECEIVED.value, choices=[(s.value, s.value) for s in InboundState]
    )
    attempts = models.SmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    next_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bridges_inbound"
        ordering: ClassVar[list[str]] = ["-id"]
        constraints = [models.UniqueConstraint(fields=["bridge", "event_id"], name="bridges_inbound_once")]
        indexes = [
            models.Index(fields=["id"], name="bridges_inbound_open", condition=models.Q(state="received"))
        ]

    def __str__(self) -> str:
        return f"{self.bridge}/{self.event_id} {self.state}"


class ChatRecord(models.Model):
    """A message in a chat that the box itself keeps: the web admin's feed and conversations, the loopback."""

    item_id = models.UUIDField(null=True, unique=True)
    platform = models.CharField(max_length=64)
    conversation = models.CharField(max_length=200)
    inbound = models.BooleanField(default=False)
    author = models.CharField(max_length=150, blank=True)
    title = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    buttons = models.JSONField(default=list)
    files = models.JSONField(default=list, db_default=[])
    """The kept files that go with it: ``id``, ``name`` and ``media_type`` of each."""
    run_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    acked_at = models.DateTimeField(null=True)
    """When a program said that it has it; only of the gateway's."""
    acked_by = models.CharField(max_length=300, blank=True, db_default="")

    class Meta:
        db_table = "bridges_message"
        ordering: ClassVar[list[str]] = ["-id"]
        indexes = [
            models.Index(fields=["platform", "conversation", "-id"], name="bridges_message_chat"),
            models.Index(fields=["created_at"], name="bridges_message_age"),
        ]

    def __str__(self) -> str:
        return f"{self.platform}/{self.conversation} #{self.pk}"


class PressableButton(models.Model):
    """What a button means. The platform knows its ``id`` alone; ``item_id`` names the message it stands under."""

    id = models.CharField(max_length=32, primary_key=True)
    platform = models.CharField(max_length=64)
    item_id = models.UUIDField()
    data = models.CharField(max_length=200)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.CharField(max_length=150, blank=True)

    class Meta:
        db_table = "bridges_button"
        indexes = [
            models.Index(fields=["item_id"], name="bridges_button_item"),
            models.Index(fields=["expires_at"], name="bridges_button_age"),
        ]

    def __str__(self) -> str:
        return f"{self.platform} {self.item_id}"


class Mute(models.Model):
    """What is about ``about``, or something below it, is held back in this conversation. ``by`` is a principal."""

    platform = models.CharField(max_length=64)
    conversation = models.CharField(max_length=200)
    about = models.CharField(max_length=200)
    until = models.DateTimeField()
    by = models.CharField(max_length=200)
    made_at = models.DateTimeField()

    class Meta:
        db_table = "bridges_mute"
        constraints = [
            models.UniqueConstraint(fields=["platform", "conversation", "about"], name="bridges_mute_once")
        ]

    def __str__(self) -> str:
        return f"{self.platform}/{self.conversation} {self.about}"


class ChatFile(models.Model):
    """A file that goes with messages of the outbox, which name it by its ``id``."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100)
    content = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "bridges_file"
        indexes = [models.Index(fields=["created_at"], name="bridges_file_age")]

    def __str__(self) -> str:
        return self.name
