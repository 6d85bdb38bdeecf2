"""Saying something in a chat that the box keeps itself: one row per message, whatever is repeated."""

from dataclasses import asdict
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.bridges import sql
from appliance.bridges.files import keep_file
from appliance.bridges.messages import ChatMessage
from appliance.bridges.ports import BridgeContext
from appliance.lib.plain import plain_text
from appliance.outbox.errors import DeliveryRefused

AUTHOR = "millwright"


async def say(
    connection: AsyncConnection[Any], context: BridgeContext, conversation: str, message: ChatMessage
) -> tuple[str, bool]:
    """Write the message in the caller's transaction; gives its number and whether it is new.

    One that takes the place of another is that one from now on; DeliveryRefused where it is not there any more.
    """
    if message.replaces:
        return await _edit(connection, context, message), True
    written = await connection.execute(
        sql.SAY,
        {
            "item_id": message.id,
            "platform": context.name,
            "conversation": conversation[:200],
            "author": AUTHOR,
            "title": plain_text(message.title)[:300],
            "text": plain_text(message.text),
            "buttons": Jsonb([asdict(button) for button in message.buttons]),
            "files": Jsonb(await _kept(connection, context, message)),
            "run_id": message.run_id,
            "now": context.clock.now(),
        },
    )
    row = await written.fetchone()
    if row is not None:
        return str(row[0]), True
    found = await connection.execute(sql.SAID, {"item_id": message.id})
    row = await found.fetchone()
    return str(row[0]) if row else "", False


async def _kept(
    connection: AsyncConnection[Any], context: BridgeContext, message: ChatMessage
) -> list[dict[str, str]]:
    """The message's files, each kept in the box, as the row names them. One that is too large is left out."""
    found = []
    for number, one in enumerate(message.attachments):
        key = f"{message.key}/{number}"
        identifier = one.id or await keep_file(connection, one, key, context.clock.now())
        if identifier is not None:
            found.append({"id": str(identifier), "name": one.name, "media_type": one.media_type})
    return found


async def _edit(connection: AsyncConnection[Any], context: BridgeContext, message: ChatMessage) -> str:
    values = {
        "id": int(message.replaces[0]),
        "platform": context.name,
        "title": plain_text(message.title)[:300],
        "text": plain_text(message.text),
        "buttons": Jsonb([asdict(button) for button in message.buttons]),
        "files": Jsonb(await _kept(connection, context, message)),
    }
    row = await (await connection.execute(sql.SAY_INSTEAD, values)).fetchone()
    if row is None:
        raise DeliveryRefused("the message that it takes the place of is not there any more")
    return str(row[0])
