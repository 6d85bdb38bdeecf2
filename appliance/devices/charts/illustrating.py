"""From the chart that a message asks for to its picture, and to what it says in words."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges.messages import Attachment
from appliance.bridges.ports import Illustration
from appliance.devices.charts.domain import ChartSpec, in_words
from appliance.devices.charts.studio import Studio
from appliance.devices.errors import ChartNotDrawn
from appliance.devices.readings.domain import Series
from appliance.devices.readings.services import read
from appliance.lib.away import DATABASE_AWAY
from appliance.lib.jsontypes import JsonObject

log = logging.getLogger(__name__)

MOST_POINTS = 360
"""Of one line: a point for each second pixel."""
FILE_NAME = "chart.png"


class ChartIllustrator:
    """The bridges' Illustrator. ``flush`` writes what has been read a moment ago: it belongs into the picture."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        flush: Callable[[], Awaitable[None]],
        studio: Studio,
    ) -> None:
        self._pool = pool
        self._flush = flush
        self._studio = studio

    async def illustrate(self, chart: JsonObject, *, picture: bool) -> Illustration:
        """Raises what the database raises; never for a chart that cannot be drawn."""
        try:
            spec = ChartSpec.from_json(chart)
        except (KeyError, TypeError, ValueError):
            log.exception("a chart that cannot be read")
            return Illustration("")
        await self._flush_if_there()
        lines = await self._read(spec)
        words = in_words(spec, lines)
        if not picture or not any(line.points for line in lines):
            return Illustration(words)
        try:
            drawn = await self._studio.drawn(spec, lines)
        except ChartNotDrawn as error:
            log.warning("a chart is sent in words: %s", error)
            return Illustration(words)
        return Illustration(words, Attachment(FILE_NAME, "image/png", drawn))

    async def _flush_if_there(self) -> None:
        try:
            await self._flush()
        except DATABASE_AWAY as error:
            log.info("the last readings are not in the chart: %s", error)

    async def _read(self, spec: ChartSpec) -> tuple[Series, ...]:
        async with self._pool.connection() as connection:
            return tuple(
                [
                    await read(connection, topic, spec.path, spec.since, spec.until, MOST_POINTS)
                    for topic in spec.topics
                ]
            )
