"""Rows of the outbox, for screens. The table is partitioned by day and made by SQL (see sql.py)."""

from django.db import models

from appliance.outbox.domain import OutboxState


class OutboxRow(models.Model):
    """One effect that waits for its target, or what became of it (P7)."""

    id = models.UUIDField(primary_key=True)
    seq = models.BigIntegerField()
    key = models.CharField(max_length=300)
    platform = models.CharField(max_length=64)
    conversation = models.CharField(max_length=200, null=True)  # noqa: DJ001 - NULL: the platform's default
    message = models.JSONField()
    run_id = models.UUIDField(null=True)
    step_id = models.CharField(max_length=100, blank=True)
    priority = models.SmallIntegerField(default=0)
    about = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in OutboxState])
    reason = models.CharField(max_length=1000, blank=True)
    attempts = models.IntegerField(default=0)
    parts_done = models.SmallIntegerField(default=0)
    repeat_possible = models.BooleanField(default=False)
    epoch = models.IntegerField(default=0)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    expiry_given = models.BooleanField(default=False)
    let_through = models.BooleanField(default=False)
    receipt = models.JSONField(null=True)
    told = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "outbox_item"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.platform} {self.state}"


class NetworkTarget(models.Model):
    """Something that the box has to do with, whether it can be reached, and since when."""

    name = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=10)
    host = models.CharField(max_length=255, blank=True)
    port = models.IntegerField(default=0)
    state = models.CharField(max_length=10)
    since = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    round_trip_ms = models.FloatField(null=True)
    outages = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class NetworkFacts(models.Model):
    """The network as a whole; one row."""

    condition = models.CharField(max_length=10)
    since = models.DateTimeField()
    checked_at = models.DateTimeField()
    interfaces = models.JSONField(default=list)
    default_route = models.BooleanField(default=False)
    names_found = models.BooleanField(null=True)
    note = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.condition


class OutboxTarget(models.Model):
    """What is known of a platform as a receiver: its circuit breaker, and what became of its messages."""

    platform = models.CharField(max_length=64, primary_key=True)
    failures = models.IntegerField(default=0)
    open_until = models.DateTimeField(null=True)
    reason = models.CharField(max_length=1000, blank=True)
    delivered = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    expired = models.BigIntegerField(default=0)
    postponed = models.BigIntegerField(default=0)
    last_delivered_at = models.DateTimeField(null=True)
    last_failed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.platform


class OutboxDigest(models.Model):
    """The last digest of what is about the same, to one target, and what expired since: see folding.py."""

    platform = models.CharField(max_length=64)
    target = models.CharField(max_length=200, blank=True)
    about = models.CharField(max_length=200)
    since = models.DateTimeField(null=True)
    item_id = models.UUIDField(null=True)
    begun_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)
    urgent_until = models.DateTimeField(null=True)
    told = models.IntegerField(default=0)
    steps = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    expired_told = models.IntegerField(default=0)

    class Meta:
        db_table = "outbox_digest"
        constraints = [
            models.UniqueConstraint(fields=["platform", "target", "about"], name="outbox_digest_of_stream")
        ]

    def __str__(self) -> str:
        return f"{self.platform}/{self.target} {self.about}"
