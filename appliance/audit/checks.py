"""Whether the audit record is signed, and recently."""

import json
from datetime import datetime, timedelta

from appliance.audit.models import AuditRecord
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, problem

LATE = timedelta(minutes=5)


def _signed(patient: Patient) -> Found:
    if not AuditRecord.objects.exists():
        return absent("nothing is on record yet")
    file = patient.config.home.path / "audit" / "heads.jsonl"
    if not file.exists():
        return problem(f"{file.name} is not there")
    with file.open("rb") as heads:
        heads.seek(max(0, file.stat().st_size - 8192))
        lines = heads.read().split(b"\n")
    last = next((line for line in reversed(lines) if line.strip()), b"")
    head = json.loads(last)
    body = json.loads(head["body"]) if "body" in head else head
    at, seq = datetime.fromisoformat(str(body["at"])), int(body["seq"])
    newest = AuditRecord.objects.order_by("-seq").first()
    if newest is not None and newest.seq > seq and patient.now - newest.at > LATE:
        return problem(f"signed up to record {seq} at {at:%Y-%m-%d %H:%M}, and there is {newest.seq}")
    return either(True, f"up to record {seq}")


CHECKS = (
    Check(
        "MW-S030", "The audit record is signed up to a few minutes ago", Severity.HIGH, _signed,
        "start the box: beat signs each minute; `manage.py audit verify` says whether anything was changed",
    ),
)  # fmt: skip
