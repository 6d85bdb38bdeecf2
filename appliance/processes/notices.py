"""Tells people what concerns everybody at the box: the all-stop, and a budget that is used up.

Written into the outbox, so the levels of the all-stop hold for these too: from ``cut`` on they reach the web admin's
feed and the box's own broker at once, and the platforms outside when the stop is released.
"""

from typing import Any

from django.utils.translation import gettext, override
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.bridges.audience import chats_of_async
from appliance.events import AllStopChanged, BudgetExceeded
from appliance.events.journal import Entry
from appliance.events.services import read_types_after_async
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.processes.follow import Position
from appliance.runs.lending import lent

PRIORITY = 30
"""Ahead of questions and approvals."""
_TYPES = [AllStopChanged.type, BudgetExceeded.type]


class Notices:
    """The position moves in the transaction that writes the messages: each is told once."""

    EVERY = 0.5

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._position = Position("notices")

    async def follow(self) -> None:
        async with lent(self._pool) as connection, connection.transaction():
            position = await self._position.read(connection)
            page, news = await read_types_after_async(connection, position, _TYPES)
            if not news:
                return
            needed = NEEDED[Ability.STOP_ALL]
            roles = [role.value for role in Role if role.covers(needed)]
            chats = await chats_of_async(connection, roles) if page.entries else []
            for entry in page.entries:
                for platform, conversation, language in chats:
                    await enqueue(connection, _item(entry, platform, conversation, language))
            await self._position.write(connection, page.cursor)


def _item(entry: Entry, platform: str, conversation: str, language: str) -> OutboxItem:
    return OutboxItem(
        key=f"notice/{entry.cursor}/{platform}/{conversation}",
        platform=platform,
        conversation=conversation or None,
        message={"text": text_of(entry, language)},
        at=entry.at,
        priority=PRIORITY,
    )


def text_of(entry: Entry, language: str) -> str:
    """The event as one sentence for people, with its time: it may arrive late."""
    data, at = entry.data, f"{entry.at:%m-%d %H:%M:%S} UTC"
    with override(language):
        if entry.type == BudgetExceeded.type:
            return gettext("%(at)s: %(reason)s (%(rule)s)") % {
                "at": at,
                "reason": data.get("reason", ""),
                "rule": data.get("rule", ""),
            }
        who = {"at": at, "by": data.get("principal", ""), "reason": data.get("reason", "")}
        if data.get("level") == "none":
            return gettext("%(at)s: the all-stop was released by %(by)s: %(reason)s") % who
        return gettext("%(at)s: ALL-STOP (%(level)s) by %(by)s: %(reason)s") % {
            **who,
            "level": data.get("level", ""),
        }
