"""Rows of alerts: versions of the rules, and what made an alert."""

from typing import ClassVar

from django.db import models


class RulesVersion(models.Model):
    """One text of the alert rules, as it was applied; never changed. The one with the highest number is in force."""

    number = models.PositiveIntegerField(unique=True)
    name = models.CharField(max_length=100)
    text = models.TextField()
    digest = models.CharField(max_length=64)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]

    def __str__(self) -> str:
        return f"v{self.number}"


class Alert(models.Model):
    """Records that made an alert by one rule, one after another without a pause longer than the rule's quiet time.

    ``told`` of its ``count`` records are in messages; at ``due_at`` people are told of the rest, or it is over (NULL).
    """

    id = models.BigAutoField(primary_key=True)
    rule = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    severity = models.CharField(max_length=10)
    reason = models.CharField(max_length=300, blank=True)
    kind = models.TextField()
    principal = models.TextField()
    subject = models.TextField()
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    count = models.IntegerField()
    told = models.IntegerField()
    messages = models.IntegerField(default=0)
    opened_at = models.DateTimeField()
    last_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["rule"], condition=models.Q(due_at__isnull=False), name="alerts_alert_one_open"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["rule", "-id"], name="alerts_alert_rule")
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.first_seq}"


class Position(models.Model):
    """How far the record has been read for alerts, and what was counted on the way: one row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField()
    counts = models.JSONField(default=dict)

    class Meta:
        db_table = "alerts_position"

    def __str__(self) -> str:
        return str(self.seq)
