"""Lock-outs and maintenance windows, those that are over included: rows are ended, never removed."""

from typing import ClassVar

from django.db import models


class LockOutRow(models.Model):
    """Somebody has taken something out of use, and stands by it with their name."""

    scope = models.CharField(max_length=8)
    pattern = models.CharField(max_length=300, blank=True)
    then = models.CharField(max_length=5)
    by = models.CharField(max_length=200)
    reason = models.CharField(max_length=500)
    since = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True)
    ended_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "safety_lockout"
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.scope} {self.pattern}".rstrip()


class MaintenanceWindow(models.Model):
    """``weekly`` has days, from, to and zone; without it the window is once, from ``begins`` to ``ends``."""

    name = models.CharField(max_length=60)
    scope = models.CharField(max_length=8)
    pattern = models.CharField(max_length=300, blank=True)
    then = models.CharField(max_length=5)
    reason = models.CharField(max_length=500, blank=True)
    weekly = models.JSONField(null=True)
    begins = models.DateTimeField(null=True)
    ends = models.DateTimeField(null=True)
    by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "safety_window"
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(removed_at=None), name="safety_window_name"
            )
        ]

    def __str__(self) -> str:
        return self.name
