"""Tells people that something waits for their word: what exactly, why, until when, and how to answer."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.utils.translation import gettext, override
from psycopg import AsyncConnection

from appliance.accounts.principal import hand_of
from appliance.bridges import settling
from appliance.bridges.audience import chats_of_async
from appliance.bridges.settling import asked
from appliance.lib.identity import time_of
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.safety.approvals.asking import Opened
from appliance.safety.approvals.domain import Purpose, State
from appliance.safety.approvals.framing import shown_said, why_said
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word

PRIORITY = 25
"""Ahead of all that only informs."""


async def tell(connection: AsyncConnection[Any], opened: Opened, now: datetime) -> None:
    """One message for each chat of somebody who may decide, in the transaction that asks; they expire with it."""
    terms = opened.wish.terms
    for platform, conversation, language in await chats_of_async(
        connection, terms.roles, opened.wish.task, terms.names
    ):
        item = OutboxItem(
            key=f"{_prefix(opened.id)}{platform}/{conversation}",
            platform=platform,
            conversation=conversation or None,
            message=message(opened, language),
            at=time_of(opened.id),
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
        lines = [head, shown_said(wish.shown)]
        if wish.reason:
            lines.append(gettext("Why: %(reason)s") % {"reason": why_said(wish.reason)})
        asks = asked("\n".join(lines), language)
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
        "asks": asks,
    }


def settle_now(row: Approval, state: State, word: Word) -> None:
    """Its messages say how it was decided, in the current transaction of Django's connection."""
    said = partial(_decided, state, hand_of(word.by.name), word.reason, word.at)
    settling.settle_now(_messages(row.pk), state.value, said, word.at)


async def settle(
    connection: AsyncConnection[Any], approval: UUID, state: State, because: str, now: datetime
) -> None:
    """Its messages say that nobody can decide any more, and why, in the caller's transaction."""
    await settling.settle(connection, _messages(approval), state.value, partial(_lapsed, because, now), now)


def _prefix(approval: UUID) -> str:
    return f"approval/{approval}/"


def _messages(approval: UUID) -> settling.Where:
    # The clock may have been set since: the identifier tells when it was asked, its row no longer does.
    return settling.begun_with(_prefix(approval), time_of(approval))


def _decided(state: State, who: str, reason: str, at: datetime) -> str:
    words = (
        gettext("Denied by %(who)s, %(at)s UTC")
        if state is State.DENIED
        else gettext("Approved by %(who)s, %(at)s UTC")
    )
    said = words % {"who": who, "at": _time(at)}
    return f"{said}: {reason}" if reason else said


def _lapsed(because: str, at: datetime) -> str:
    said = {"at": _time(at), "because": why_said(because)}
    return gettext("Nobody can decide this any more, %(at)s UTC: %(because)s") % said


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%m-%d %H:%M}"
