"""Alerts as rows and messages: the first is told at once, what follows within the quiet time is gathered into one."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.alerts import sql
from appliance.alerts.evaluating import Entry
from appliance.alerts.model import AlertRule, AlertsFile, Severity
from appliance.alerts.notices import Notice, tell
from appliance.events import AuditAlert
from appliance.events.services import record_async


@dataclass(slots=True)
class Hits:
    """What one rule found in one page of the record."""

    rule: AlertRule
    count: int = 0
    first: Entry = field(init=False)
    last: Entry = field(init=False)

    def add(self, entry: Entry) -> None:
        if not self.count:
            self.first = entry
        self.count += 1
        self.last = entry


async def raise_alert(
    connection: AsyncConnection[Any], file: AlertsFile, version: int, hits: Hits, now: datetime
) -> None:
    """Into the alert of the rule that is open, without a word; else a new one, and people are told."""
    rule, last, pause = hits.rule, hits.last, file.pause(hits.rule)
    values: dict[str, Any] = {
        "rule": rule.id,
        "version": version,
        "severity": rule.severity.value,
        "reason": rule.reason,
        "kind": last.kind,
        "principal": last.principal,
        "subject": last.subject,
        "first_seq": hits.first.seq,
        "last_seq": last.seq,
        "last_at": last.at,
        "count": hits.count,
        "now": now,
        "due_at": now + pause if pause else None,
    }
    cursor = connection.cursor(row_factory=dict_row)
    if await (await cursor.execute(sql.GATHER, values)).fetchone() is None:
        row = await (await cursor.execute(sql.OPEN, values)).fetchone()
        await _say(connection, file, rule, row or {})


async def say_due(connection: AsyncConnection[Any], file: AlertsFile, now: datetime) -> bool:
    """What was gathered since the last message goes into one; where nothing was, the alert is over."""
    cursor = connection.cursor(row_factory=dict_row)
    rows = await (await cursor.execute(sql.DUE, {"now": now})).fetchall()
    rules = {rule.id: rule for rule in file.rules}
    for row in rows:
        rule = rules.get(row["rule"])
        if row["count"] == row["told"] or rule is None:
            await cursor.execute(sql.OVER, {"id": row["id"]})
            continue
        pause = file.pause(rule)
        values = {"id": row["id"], "due_at": now + pause if pause else None}
        after = await (await cursor.execute(sql.TOLD, values)).fetchone()
        await _say(connection, file, rule, after or row, told=row["told"])
    return bool(rows)


async def _say(
    connection: AsyncConnection[Any], file: AlertsFile, rule: AlertRule, row: dict[str, Any], told: int = 0
) -> None:
    task, run = await _asked_by(connection, row["kind"], row["subject"])
    notice = Notice(
        alert=row["id"],
        rule=rule.id,
        severity=Severity(row["severity"]),
        reason=row["reason"],
        kind=row["kind"],
        principal=row["principal"],
        subject=row["subject"],
        seq=row["last_seq"],
        count=row["count"],
        more=row["count"] - told,
        message=row["messages"],
        opened_at=row["opened_at"],
        last_at=row["last_at"],
        task=task,
        run=run,
    )
    await tell(connection, notice, file.receivers(rule), rule.escalate or ())
    said = f"{notice.reason or notice.rule}: {notice.kind} by {notice.principal} {notice.subject}".strip()
    await record_async(
        connection,
        AuditAlert(
            rule=notice.rule, message=said[:1000], seq=notice.seq, run_id=run or _run_of(notice.subject)
        ),
    )


async def _asked_by(connection: AsyncConnection[Any], kind: str, subject: str) -> tuple[str, str]:
    """The task and the run that asked for the approval that a record is about; empty for what is about none."""
    approval = _run_of(subject) if kind.startswith("approval.") else ""
    if not approval:
        return "", ""
    cursor = connection.cursor(row_factory=dict_row)
    row = await (await cursor.execute(sql.ASKED_BY, {"id": approval})).fetchone()
    return (row["task"], str(row["run_id"])) if row else ("", "")


def _run_of(subject: str) -> str:
    """The run in a record's subject, which is it or begins with it (``run/step``); empty for another subject."""
    first = subject.partition("/")[0]
    try:
        return str(UUID(first))
    except ValueError:
        return ""
