"""Rows of escalations."""

from typing import ClassVar

from django.db import models

from appliance.escalations.domain import State


class Escalation(models.Model):
    """Something that somebody has to acknowledge.

    ``stages``: who is told after how many seconds without an answer (``after``, ``to``); the last one has nobody and is
    the end. ``stage`` of them were told; ``wait`` seconds before ``next_at`` the present one began. ``messages`` are
    the identifiers of all that was sent, in the outbox.
    """

    id = models.UUIDField(primary_key=True)
    code = models.CharField(max_length=8, db_index=True)
    title = models.CharField(max_length=200)
    text = models.TextField()
    about = models.CharField(max_length=200, blank=True)
    task = models.CharField(max_length=200, blank=True)
    run_id = models.UUIDField(null=True)
    step_id = models.CharField(max_length=100, blank=True)
    alert_id = models.BigIntegerField(null=True)
    stages = models.JSONField()
    stage = models.SmallIntegerField(default=0)
    wait = models.FloatField()
    next_at = models.DateTimeField(null=True)
    priority = models.SmallIntegerField(default=0)
    messages = models.JSONField(default=list)
    state = models.CharField(
        max_length=12, default=State.OPEN.value, choices=[(s.value, s.value) for s in State]
    )
    opened_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.TextField(blank=True)
    way = models.CharField(max_length=8, blank=True)
    command_key = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_at"], name="escalations_due", condition=models.Q(state="open")),
            models.Index(
                fields=["id"],
                name="escalations_unsettled",
                condition=models.Q(state__in=["open", "exhausted"]),
            ),
            models.Index(fields=["run_id"], name="escalations_run"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.state}"
