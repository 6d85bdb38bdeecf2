"""The durable tier of the cache, and what syncing it with other boxes has to remember."""

from typing import ClassVar

from django.db import models

from appliance.cache.domain import Direction, Policy


class CacheEntry(models.Model):
    """The last value under a ``cache_key``; ``version`` counts its writes here (optimistic locking).

    ``wall``, ``counter`` and ``origin`` are the stamp of the write (appliance/cache/stamps.py), the same on every
    box that has it. ``xact`` and ``seq`` are the write's place in the offline journal: one place a key, so that
    the journal is never longer than there are keys. A removed value stays as a marker until every peer knows.
    """

    key = models.CharField(max_length=200, primary_key=True)
    value = models.JSONField(null=True)
    version = models.BigIntegerField(default=1)
    wall = models.BigIntegerField(default=0)
    counter = models.IntegerField(default=0)
    origin = models.CharField(max_length=100, blank=True)
    deleted = models.BooleanField(default=False)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200, blank=True)
    xact = models.BigIntegerField(default=0)
    seq = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["key"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["xact", "seq"], name="cache_entry_order")
        ]

    def __str__(self) -> str:
        return self.key


class CachePeer(models.Model):
    """Another box that values are shared with; this box calls it. Only sync writes the fields below ``every``."""

    name = models.CharField(max_length=48, unique=True)
    url = models.CharField(max_length=500)
    token = models.CharField(max_length=200)
    """``secret:NAME``: a reference, never the token."""
    enabled = models.BooleanField(default=True)
    every = models.IntegerField(default=5)
    """Seconds between two rounds while the peer answers."""
    box = models.CharField(max_length=100, blank=True)
    pull_cursor = models.CharField(max_length=60, blank=True)
    push_cursor = models.CharField(max_length=60, blank=True)
    last_contact = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    failures = models.IntegerField(default=0)
    skew_ms = models.BigIntegerField(default=0)
    """The peer's clock less this box's."""

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class CacheRule(models.Model):
    """Which keys are shared with a peer, and who wins."""

    peer = models.ForeignKey(CachePeer, on_delete=models.CASCADE, related_name="rules")
    prefix = models.CharField(max_length=200, blank=True)
    policy = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Policy])
    counters = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar[list[str]] = ["prefix"]
        constraints = [models.UniqueConstraint(fields=["peer", "prefix"], name="cache_rule_prefix")]

    def __str__(self) -> str:
        return f"{self.prefix}*: {self.policy}"


class CacheAgreed(models.Model):
    """What both boxes last had under a key, and the message about it that has no answer yet."""

    peer = models.ForeignKey(CachePeer, on_delete=models.CASCADE)
    key = models.CharField(max_length=200)
    base = models.JSONField(null=True)
    sent = models.JSONField(null=True)
    failures = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["peer", "key"], name="cache_agreed_key")]

    def __str__(self) -> str:
        return self.key


class CacheConflict(models.Model):
    """Two edits that did not know of each other: both, what they started from, and what was decided by whom."""

    peer = models.ForeignKey(CachePeer, on_delete=models.SET_NULL, null=True)
    peer_name = models.CharField(max_length=48)
    key = models.CharField(max_length=200)
    base = models.JSONField(null=True)
    mine = models.JSONField()
    theirs = models.JSONField()
    policy = models.CharField(max_length=10)
    choice = models.CharField(max_length=10)
    why = models.CharField(max_length=500)
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["peer", "key"],
                condition=models.Q(decided_at__isnull=True),
                name="cache_conflict_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.choice}"


class CacheParked(models.Model):
    """A value that the peer refuses (``out``) or that cannot be read here (``in``); it holds up nothing."""

    peer = models.ForeignKey(CachePeer, on_delete=models.CASCADE)
    key = models.CharField(max_length=200)
    direction = models.CharField(max_length=3, choices=[(one.value, one.value) for one in Direction])
    document = models.TextField()
    reason = models.CharField(max_length=500)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints = [models.UniqueConstraint(fields=["peer", "key", "direction"], name="cache_parked_key")]

    def __str__(self) -> str:
        return f"{self.direction} {self.key}"


class CacheReceived(models.Model):
    """Messages of other boxes that were taken: a repetition is answered, and changes nothing."""

    id = models.CharField(max_length=400, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.id
