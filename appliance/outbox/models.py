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
