"""The audit record's rows, for screens. The tables, their function and their triggers are made by SQL."""

import json
from typing import Any, ClassVar

from django.db import models


class AuditRecord(models.Model):
    """One link of the chain: what was asked, allowed or done. ``body`` is the text that is hashed."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    kind = models.TextField()
    principal = models.TextField()
    subject = models.TextField()
    body = models.TextField()
    prev_hash = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_record"
        ordering: ClassVar[list[str]] = ["-seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind} {self.subject}"

    @property
    def detail(self) -> dict[str, Any]:
        """What the writer said beside kind, principal and subject."""
        detail = json.loads(self.body)["detail"]
        return detail if isinstance(detail, dict) else {"value": detail}


class AuditSignature(models.Model):
    """A signed head of the chain; the same lines stand in ``audit/heads.jsonl`` of the home."""

    number = models.BigIntegerField(primary_key=True)
    body = models.TextField()
    signature = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_signature"
        ordering: ClassVar[list[str]] = ["-number"]

    def __str__(self) -> str:
        return f"head {self.number}"
