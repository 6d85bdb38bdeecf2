"""What the doctor found when it looked last."""

from django.db import models


class Examination(models.Model):
    """The last look at the box: one row, ``id`` 1. ``findings`` are those of ``Finding.to_json``, by name."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()
    by = models.TextField()
    serious = models.PositiveSmallIntegerField()
    """Problems of the weight ``high`` among them."""
    findings = models.JSONField()

    def __str__(self) -> str:
        return f"{self.at:%F %T} by {self.by}"
