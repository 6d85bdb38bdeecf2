"""The chart that goes with a message: made once, kept as a file, so that each attempt to send says the same."""

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.files import files_of, keep_file
from appliance.bridges.long_text import MEDIA_TYPE
from appliance.bridges.messages import Attachment
from appliance.bridges.ports import Illustration, Illustrator
from appliance.lib.identity import uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Parcel

WORDS_NAME = "chart.txt"
_SMALLEST_ROOM = 100_000
"""Bytes that a platform's attachments must be allowed to have for a picture to be tried."""


class Charts:
    """``illustrator`` is the one of a layer above; without it a message goes out without its chart."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], illustrator: Illustrator | None
    ) -> None:
        self._pool = pool
        self._illustrator = illustrator

    async def of(self, parcel: Parcel, capabilities: Capabilities) -> tuple[str, tuple[Attachment, ...]]:
        """What to say under the text, and the picture: one of the two."""
        chart = parcel.message.get("chart")
        if self._illustrator is None or not isinstance(chart, dict):
            return "", ()
        at = moment_of(chart)
        if at is None:
            return "", ()
        kept = await self._kept(parcel.key, at)
        if kept is None:
            takes = capabilities.attachment_limit >= _SMALLEST_ROOM
            made = await self._illustrator.illustrate(chart, picture=takes)
            kept = _one_of(made, capabilities)
            async with self._pool.connection() as connection:
                identifier = await keep_file(connection, kept, chart_key(parcel.key), at)
                kept = (await files_of(connection, [str(identifier)]))[
                    0
                ]  # of two at a time the first one counts
        return ("", (kept,)) if kept.is_picture else (kept.content.decode(), ())

    async def _kept(self, key: str, at: datetime) -> Attachment | None:
        async with self._pool.connection() as connection:
            found = await files_of(connection, [str(chart_id(key, at))])
        return found[0] if found else None


def chart_key(key: str) -> str:
    """Under which key the chart of the message ``key`` is kept."""
    return f"{key}/chart"


def chart_id(key: str, at: datetime) -> UUID:
    """The file of that chart, once it is made; ``at`` is `moment_of` the chart."""
    return uuid_at(at, "chat-file", chart_key(key))


def moment_of(chart: JsonObject) -> datetime | None:
    """Where the chart's window ends."""
    try:
        return datetime.fromisoformat(str(chart["until"]))
    except (KeyError, ValueError):
        return None


def _one_of(made: Illustration, capabilities: Capabilities) -> Attachment:
    picture = made.picture
    if picture is not None and len(picture.content) <= capabilities.attachment_limit:
        return picture
    return Attachment(WORDS_NAME, MEDIA_TYPE, made.words.encode("utf-8", "replace"))
