"""Tells people that something waits for their word: what exactly, why, until when, and how to answer."""

from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext, override
from psycopg import AsyncConnection

from appliance.bridges.audience import chats_of_async
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.safety.approvals.asking import Opened
from appliance.safety.approvals.domain import Purpose

PRIORITY = 25
"""Ahead of all that only informs."""


async def tell(connection: AsyncConnection[Any], opened: Opened, now: datetime) -> None:
    """One message for each chat of somebody who may decide, in the transaction that asks; they expire with it."""
    terms = opened.wish.terms
    for platform, conversation, language in await chats_of_async(
        connection, terms.roles, opened.wish.task, terms.names
    ):
        item = OutboxItem(
            key=f"approval/{opened.id}/{platform}/{conversation}",
            platform=platform,
            conversation=conversation or None,
            message=message(opened, language),
            at=now,
            expires_at=opened.expires_at,
            priority=PRIORITY,
        )
        await enqueue(connection, item)


def message(opened: Opened, language: str) -> JsonObject:
    """The text for one language, and buttons that carry nothing but the token."""
    wish = opened.wish
    with override(language):
        head = (
            gettext("%(task)s asks (step %(step)s):")
            if wish.purpose is Purpose.QUESTION
            else gettext("%(task)s needs your approval (step %(step)s):")
        ) % {"task": wish.task, "step": wish.step}
        lines = [head, wish.shown]
        if wish.reason:
            lines.append(gettext("Why: %(reason)s") % {"reason": wish.reason})
        lines.append(
            gettext(
                "Asked by %(who)s. Until %(until)s UTC, write one of:\n"
                "approve %(code)s\n"
                "deny %(code)s and a reason"
            )
            % {
                "who": wish.requester,
                "until": f"{opened.expires_at.astimezone(UTC):%m-%d %H:%M}",
                "code": opened.code,
            }
        )
        labels = ((gettext("Approve"), "approve"), (gettext("Deny"), "deny"))
    return {
        "text": "\n".join(lines),
        "buttons": [{"label": label, "data": f"{word} {opened.token}"} for label, word in labels],
    }
