"""Files that go with messages: kept once in the database, named by the outbox's items."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.bridges import sql
from appliance.bridges.messages import Attachment
from appliance.lib.identity import uuid_at
from appliance.lib.plain import plain_text

LARGEST = 20_000_000
"""Bytes. A larger file is left out, as one that the platform does not take."""


async def keep_file(
    connection: AsyncConnection[Any], attachment: Attachment, key: str, at: datetime
) -> UUID | None:
    """Its identifier, the same for the same ``key`` and time; None for one that is too large."""
    if len(attachment.content) > LARGEST:
        return None
    identifier = uuid_at(at, "chat-file", key)
    await connection.execute(
        sql.KEEP_FILE,
        {
            "id": identifier,
            "name": plain_text(attachment.name)[:200],
            "media_type": attachment.media_type[:100],
            "content": attachment.content,
            "now": at,
        },
    )
    return identifier


async def files_of(connection: AsyncConnection[Any], identifiers: Sequence[str]) -> tuple[Attachment, ...]:
    """In the order in which they are named; what is not there any more is left out."""
    if not identifiers:
        return ()
    found = await connection.execute(sql.FILES, {"ids": [UUID(one) for one in identifiers]})
    kept = {str(row[0]): Attachment(row[1], row[2], bytes(row[3]), row[0]) for row in await found.fetchall()}
    return tuple(kept[one] for one in identifiers if one in kept)
