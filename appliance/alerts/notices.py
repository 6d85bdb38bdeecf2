"""Tells people about an alert: one message for each chat of whoever the rule names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext, gettext_noop, override
from psycopg import AsyncConnection

from appliance.alerts.model import Escalate, Severity
from appliance.bridges.receivers import chats_reached
from appliance.escalations.domain import PRIORITY, NewEscalation, Stage, chain
from appliance.escalations.notices import asking
from appliance.escalations.opening import open_one
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonObject
from appliance.lib.priority import Priority
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue

PRIORITIES = {
    Severity.INFO: Priority.NORMAL.rank,
    Severity.WARNING: Priority.HIGH.rank - 2,
    Severity.CRITICAL: Priority.CRITICAL.rank,
}
"""Behind what waits for an answer, ahead of what only informs. What is critical comes through quiet hours and mutes."""
_SIGNS = {Severity.INFO: "ℹ️", Severity.WARNING: "⚠️", Severity.CRITICAL: "🛑"}
LONGEST = 200
SHIPPED = (
    gettext_noop("somebody denied what a run asked for"),
    gettext_noop(
        "an answer to an approval was not accepted; it was forged, late, or of somebody who may not give it"
    ),
)
"""Reasons of the rules that come with the box, of those about what a run asked."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: the last record of ``count``; ``more`` of them came since the message before, where it is not the
    first. ``task`` and ``run`` are those that asked, where it is about an approval."""

    alert: int
    rule: str
    severity: Severity
    reason: str
    kind: str
    principal: str
    subject: str
    seq: int
    count: int
    more: int
    message: int
    opened_at: datetime
    last_at: datetime
    task: str = ""
    run: str = ""


async def tell(
    connection: AsyncConnection[Any],
    notice: Notice,
    receivers: Sequence[str],
    escalate: Sequence[Escalate] = (),
) -> None:
    """Put the messages into the outbox, in the caller's transaction. The same message again is the same item.

    With ``escalate`` the first message of an alert wants to be acknowledged; what is gathered later does not once more.
    """
    new = _wanting(notice, escalate) if escalate and notice.message == 1 else None
    sent = []
    for platform, conversation, language in await chats_reached(connection, receivers):
        said = message(notice, language)
        item = OutboxItem(
            key=f"alert/{notice.alert}/{notice.message}/{platform}/{conversation}",
            platform=platform,
            conversation=conversation or None,
            message=asking(said, new.code, language) if new else said,
            at=notice.opened_at,
            priority=PRIORITIES[notice.severity],
            # What waits for an answer always stands alone.
            about="" if new else f"alert/{notice.rule}",
        )
        sent.append(await enqueue(connection, item))
    if new:
        await open_one(connection, replace(new, messages=tuple(sent)))


def _wanting(notice: Notice, escalate: Sequence[Escalate]) -> NewEscalation:
    stages = [Stage(one.after.total_seconds(), one.to) for one in escalate]
    return NewEscalation(
        key=f"alert/{notice.alert}",
        about=f"alert/{notice.rule}",
        text=str(message(notice, "en")["text"]),
        stages=chain(stages, stages[-1].after),
        opened_at=notice.opened_at,
        priority=max(PRIORITY, PRIORITIES[notice.severity]),
        alert_id=notice.alert,
    )


def message(notice: Notice, language: str) -> JsonObject:
    """The alert in words."""
    at = f"{notice.last_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    with override(language):
        reason = gettext(notice.reason) if notice.reason else notice.rule
        lines = [f"{_SIGNS[notice.severity]} {reason}"]
        if notice.message > 1:
            since = f"{notice.opened_at.astimezone(UTC):%H:%M:%S}"
            said = gettext("%(more)d more, %(count)d since %(since)s UTC. The last one:")
            lines.append(said % {"more": notice.more, "count": notice.count, "since": since})
        elif notice.count > 1:
            lines.append(gettext("%(count)d at once. The last one:") % {"count": notice.count})
        if notice.task:
            return {"text": "\n".join([*lines, *_of_a_run(notice, at)])}
        what = gettext("%(kind)s by %(who)s") % {"kind": notice.kind, "who": notice.principal[:LONGEST]}
        lines.append(f"{what}: {notice.subject[:LONGEST]}" if notice.subject else what)
        where = gettext("record %(seq)d") % {"seq": notice.seq} if notice.seq else gettext("not on record")
        lines.append(f"{at}, {where}, {notice.rule}")
    return {"text": "\n".join(lines)}


def _of_a_run(notice: Notice, at: str) -> list[str]:
    """In the language that is active: who reads it knows the task, and finds the rest behind the link."""
    who = notice.principal.removeprefix("user:")[:LONGEST]
    said = gettext("%(task)s, by %(who)s, %(at)s") % {"task": notice.task, "who": who, "at": at}
    return [said, f"{get_config().public_url.rstrip('/')}/runs/{notice.run}/"]
