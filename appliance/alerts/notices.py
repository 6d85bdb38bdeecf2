"""Tells people about an alert: one message for each chat of whoever the rule names."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext, override
from psycopg import AsyncConnection

from appliance.accounts.domain import Role
from appliance.alerts.model import Severity
from appliance.bridges.audience import Chat, chats_of_async
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


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: the last record of ``count``; ``more`` of them came since the message before, where it is not the
    first."""

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


async def tell(connection: AsyncConnection[Any], notice: Notice, receivers: Sequence[str]) -> None:
    """Put the messages into the outbox, in the caller's transaction. The same message again is the same item."""
    for platform, conversation, language in await _chats(connection, receivers):
        await enqueue(
            connection,
            OutboxItem(
                key=f"alert/{notice.alert}/{notice.message}/{platform}/{conversation}",
                platform=platform,
                conversation=conversation or None,
                message=message(notice, language),
                at=notice.opened_at,
                priority=PRIORITIES[notice.severity],
                about=f"alert/{notice.rule}",
            ),
        )


async def _chats(connection: AsyncConnection[Any], receivers: Sequence[str]) -> list[Chat]:
    roles = [Role(one.removeprefix("role:")) for one in receivers if one.startswith("role:")]
    names = [one.removeprefix("user:") for one in receivers if one.startswith("user:")]
    covering = [role.value for role in Role if any(role.covers(needed) for needed in roles)]
    # The web admin's own chat is always one of these: an alert that no other chat can take is read there.
    found = {chat[:2]: chat[2] for chat in await chats_of_async(connection, covering)}
    if names:
        everybody = [role.value for role in Role]
        found |= {chat[:2]: chat[2] for chat in await chats_of_async(connection, everybody, names=names)}
    for one in receivers:
        platform, _, conversation = one.partition("/")
        if ":" not in platform:
            found.setdefault((platform, conversation), "en")
    return [(platform, conversation, language) for (platform, conversation), language in found.items()]


def message(notice: Notice, language: str) -> JsonObject:
    """The alert in words."""
    at = f"{notice.last_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    with override(language):
        lines = [f"{_SIGNS[notice.severity]} {notice.reason or notice.rule}"]
        if notice.message > 1:
            since = f"{notice.opened_at.astimezone(UTC):%H:%M:%S}"
            said = gettext("%(more)d more, %(count)d since %(since)s UTC. The last one:")
            lines.append(said % {"more": notice.more, "count": notice.count, "since": since})
        elif notice.count > 1:
            lines.append(gettext("%(count)d at once. The last one:") % {"count": notice.count})
        what = gettext("%(kind)s by %(who)s") % {"kind": notice.kind, "who": notice.principal[:LONGEST]}
        lines.append(f"{what}: {notice.subject[:LONGEST]}" if notice.subject else what)
        where = gettext("record %(seq)d") % {"seq": notice.seq} if notice.seq else gettext("not on record")
        lines.append(f"{at}, {where}, {notice.rule}")
    return {"text": "\n".join(lines)}
