"""The all-stop switch, the secret store, the policy and the approvals."""

from typing import ClassVar

from django.db import models

from appliance.safety.approvals.models import Approval, ApprovalDecision
from appliance.safety.budgets.models import Spending
from appliance.safety.plant_state.models import LockOutRow, MaintenanceWindow

__all__ = [
    "AllStopSwitch",
    "Approval",
    "ApprovalDecision",
    "LockOutRow",
    "MaintenanceWindow",
    "Secret",
    "Spending",
]


class AllStopSwitch(models.Model):
    """The one row of the switch. Each change of it, or of the policy, moves the epoch on; services write it."""

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


class PolicyVersion(models.Model):
    """One text of one layer's policy, as it was applied; never changed."""

    layer = models.CharField(max_length=10)
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    text = models.TextField()
    digest = models.CharField(max_length=64)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["layer", "number"], name="safety_policyversion_number")
        ]

    def __str__(self) -> str:
        return f"{self.layer} v{self.number}"


class PolicyInForce(models.Model):
    """Which version of a layer decides. Each change moves the epoch of the all-stop's row on, which every effect
    looks at."""

    layer = models.CharField(max_length=10, primary_key=True)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT)
    since = models.DateTimeField()
    by = models.CharField(max_length=200)

    class Meta:
        db_table = "safety_policy"

    def __str__(self) -> str:
        return f"{self.layer}: {self.version_id}"
