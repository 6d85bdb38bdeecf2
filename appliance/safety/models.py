"""The all-stop switch, the secret store and the approvals."""

from typing import ClassVar

from django.db import models

from appliance.safety.approvals.models import Approval, ApprovalDecision

__all__ = ["AllStopSwitch", "Approval", "ApprovalDecision", "Secret"]


class AllStopSwitch(models.Model):
    """The one row of the switch. Each change moves the epoch on; services in ``allstop`` write it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    epoch = models.BigIntegerField(default=0)
    level = models.CharField(max_length=10, default="none")
    since = models.DateTimeField(null=True)
    by = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "safety_allstop"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(id=1), name="safety_allstop_one_row")
        ]

    def __str__(self) -> str:
        return f"{self.level} ({self.epoch})"


class Secret(models.Model):
    """A named secret, encrypted with the box's root key; the value leaves only at the edge that needs it."""

    name = models.CharField(max_length=100, primary_key=True)
    token = models.BinaryField()
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name
