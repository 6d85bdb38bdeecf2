"""What has been spent: one row for each count. Only the database function writes it."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Spending(models.Model):
    """``slots`` are the stretch's parts, the newest last; ``newest`` is its number; ``span`` is in seconds."""

    pk = models.CompositePrimaryKey("subject", "what", "span")
    subject = models.CharField(max_length=300)
    what = models.CharField(max_length=8)
    span = models.IntegerField()
    newest = models.BigIntegerField()
    slots = ArrayField(models.FloatField())
    told_at = models.DateTimeField(null=True)
    touched_at = models.DateTimeField()

    class Meta:
        db_table = "safety_spending"
        ordering: ClassVar[list[str]] = ["subject", "what", "span"]

    def __str__(self) -> str:
        return f"{self.subject} {self.what}/{self.span}"
