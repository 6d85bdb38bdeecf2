"""The web process's side of messages to and from programs: say, see what is open, acknowledge."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken
from appliance.bridges.gateway import sql
from appliance.bridges.gateway.domain import ANY, LONGEST_NAME, PLATFORM
from appliance.bridges.inbox import receive_now
from appliance.bridges.messages import RawEvent
from appliance.lib.errors import MillwrightError
from appliance.lib.plain import plain_text
from appliance.outbox.sql import HINT_CHANNEL

MOST_OPEN = 50


class NotSaid(MillwrightError):
    """An empty text, or a token without a name that a conversation can have."""

    code = "gateway.message_refused"


class NoSuchMessage(MillwrightError):
    """It is not this client's, or it is too late to acknowledge it."""

    code = "gateway.message_not_found"


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A message that nobody has acknowledged yet. ``buttons`` have ``label`` and ``data``."""

    item_id: UUID
    conversation: str
    at: datetime
    title: str
    text: str
    buttons: list[dict[str, Any]]
    run_id: UUID | None


def conversation_of(token: ApiToken) -> str:
    """``ana/line-bot``: what a task's ``to:`` names it by."""
    return f"{token.user.username}/{token.name}"


def say(token: ApiToken, id_: str, text: str, now: datetime) -> None:
    """Put what a program said into the durable inbox, in the current transaction. Raises NotAllowed, NotSaid."""
    token.principal.require(Ability.CHAT)
    text, conversation = plain_text(text).strip(), conversation_of(token)
    if not text:
        raise NotSaid("a message says something")
    if len(conversation) > LONGEST_NAME:
        raise NotSaid("the names of this token and its person are too long for a conversation")
    payload = {
        "conversation": conversation,
        "user_id": str(token.user_id),
        "user_name": conversation,
        "token_id": str(token.pk),
        "text": text,
    }
    with transaction.atomic():
        receive_now(PLATFORM, [RawEvent(f"{token.pk}/{id_}", {**payload})], now)


def open_messages(token: ApiToken) -> list[OpenMessage]:
    """What this program is to get, oldest first. Nothing for one that may not chat."""
    if not token.can(Ability.CHAT):
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql.OPEN, {**_whose(token), "limit": MOST_OPEN})
        rows = cursor.fetchall()
    return [
        OpenMessage(item, conversation, at, title, text, json.loads(buttons), run_id)
        for item, conversation, at, title, text, buttons, run_id in rows
    ]


def acknowledge(token: ApiToken, item_id: UUID, now: datetime) -> bool:
    """The message has arrived; False where one of those who got it said so before. Raises NotAllowed, NoSuchMessage."""
    token.principal.require(Ability.CHAT)
    values = {**_whose(token), "item_id": item_id, "now": now, "by": token.principal.name}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.ACK, values)
        if cursor.rowcount:
            cursor.execute(sql.WAKE, {"item_id": item_id, "channel": HINT_CHANNEL})
            return True
        cursor.execute(sql.IS_OURS, values)
        row = cursor.fetchone()
    if row is None:
        raise NoSuchMessage("no such message waits for this client")
    if not row[0]:
        raise NoSuchMessage("the message is not waited for any more", hint="it has expired, or was dropped")
    return False


def _whose(token: ApiToken) -> dict[str, Any]:
    return {"platform": PLATFORM, "conversations": [conversation_of(token), ANY]}
