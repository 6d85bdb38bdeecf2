"""The journal's rows, for screens. The table is partitioned by day and made by SQL (see sql.py)."""

from django.db import models


class EventRow(models.Model):
    """One event of the journal. Written by ``services`` only; read in order there."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    type = models.TextField()
    subject = models.TextField()
    data = models.JSONField()

    class Meta:
        managed = False
        db_table = "events_event"

    def __str__(self) -> str:
        return f"{self.type} {self.subject}"
