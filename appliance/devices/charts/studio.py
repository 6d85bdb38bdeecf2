"""Draws charts beside the reactor, in a process that ends with its picture.

Drawing holds Python's lock for up to 25 ms at a time, in which the reflex lane would stand still; and what Pillow takes
of memory goes back when it has ended.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

from appliance.devices.charts.domain import ChartSpec
from appliance.devices.charts.order import write_order
from appliance.devices.errors import ChartNotDrawn
from appliance.devices.readings.domain import Series
from appliance.lib.config import ROOT

PATIENCE = 20.0
"""Seconds for one picture: a machine that is busy draws slowly."""


class Studio:
    """One picture at a time."""

    def __init__(self, program: Sequence[str] = ("-m", "appliance.devices.charts")) -> None:
        self._program = program
        self._free = asyncio.Lock()

    async def drawn(self, spec: ChartSpec, lines: Sequence[Series]) -> bytes:
        """The PNG. Raises ChartNotDrawn."""
        async with self._free:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._draw(write_order(spec, lines))
            except TimeoutError as error:
                raise ChartNotDrawn(f"not drawn within {PATIENCE:.0f} s") from error
            except OSError as error:
                raise ChartNotDrawn(f"the drawing cannot be started: {error}") from error

    async def _draw(self, order: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # it needs none of the box's secrets
        )
        try:
            picture, said = await process.communicate(order)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode or not picture:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise ChartNotDrawn(f"the drawing ended with {process.returncode}: {' '.join(last)[:300]}")
        return picture
