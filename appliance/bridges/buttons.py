"""Buttons that carry nothing: the platform gets a word that only this box can make; what it means stays here."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.bridges import sql
from appliance.bridges.messages import Button
from appliance.bridges.secrets import mark

KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a press means, and under which item of the outbox its button stands."""

    item_id: UUID
    data: str


def name_of(item_id: UUID, index: int, key: str | None = None) -> str:
    """22 characters, the same at every attempt to send: nothing in them can be guessed."""
    secret = bytes.fromhex(mark("chat-buttons", key))
    digest = hmac.new(secret, f"{item_id}/{index}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


async def keep_buttons(
    connection: AsyncConnection[Any],
    platform: str,
    item_id: UUID,
    buttons: Sequence[Button],
    now: datetime,
    key: str | None = None,
) -> tuple[Button, ...]:
    """The buttons as the platform may know them."""
    kept = []
    for index, button in enumerate(buttons):
        name = name_of(item_id, index, key)
        await connection.execute(
            sql.KEEP_BUTTON,
            {
                "id": name,
                "platform": platform,
                "item_id": item_id,
                "data": button.data,
                "expires_at": now + KEPT_FOR,
            },
        )
        kept.append(replace(button, data=name))
    return tuple(kept)


async def meaning_of(
    connection: AsyncConnection[Any], platform: str, pressed: str, now: datetime
) -> Pressed | None:
    """None for a button that was used, is too old, or never was one of this platform's."""
    found = await connection.execute(sql.BUTTON, {"id": pressed[:32], "platform": platform, "now": now})
    row = await found.fetchone()
    return Pressed(*row) if row else None


async def use_up(connection: AsyncConnection[Any], item_id: UUID, by: str, now: datetime) -> None:
    """Somebody has decided by one of this message's buttons, in the transaction that says so."""
    await connection.execute(sql.USE_BUTTONS, {"item_id": item_id, "by": by[:150], "now": now})
