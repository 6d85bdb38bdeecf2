"""What events and the audit record say of an escalation, from its row."""

from collections.abc import Mapping
from typing import Any

from appliance.audit.chain import AuditEntry
from appliance.lib.jsontypes import JsonObject


def told_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of its events."""
    return {
        "escalation_id": str(row["id"]),
        "code": row["code"],
        "title": row["title"],
        "task": row["task"],
        "step": row["step_id"],
        "run_id": str(row["run_id"] or ""),
        "stage": row.get("stage", 0),
    }


def on_record(word: str, by: str, row: Mapping[str, Any], **more: Any) -> AuditEntry:
    """``escalation.<word>``, about the escalation's identifier."""
    detail: JsonObject = {
        "code": row["code"],
        "title": row["title"],
        "task": row["task"],
        "step": row["step_id"],
        "run": str(row["run_id"] or ""),
        "alert": row["alert_id"],
        "stage": row["stage"],
        **more,
    }
    return AuditEntry(f"escalation.{word}", by, str(row["id"]), detail)
