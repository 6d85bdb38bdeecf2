"""Whether a model answers now, for the pages of those who wait for one."""

import asyncio
from datetime import datetime

from asgiref.sync import async_to_sync

from appliance.inference.domain import InstanceState, Need
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import View
from appliance.inference.overview import keeper
from appliance.processes.part_checks import nobody_answers

PATIENCE = 2.0
"""Seconds: a page waits no longer for the keeper's word."""


def no_model_now(now: datetime) -> bool:
    """By the keeper's word none that an agent could ask is ready; where it says nothing, by its sign of life."""
    try:
        return not _speaks(async_to_sync(_look)())
    except (ModelUnavailable, TimeoutError):
        return nobody_answers(now)


async def _look() -> View:
    async with asyncio.timeout(PATIENCE):
        return await keeper().look()


def _speaks(view: View) -> bool:
    return any(
        one.state is InstanceState.READY and Need.JSON in one.offers and not (one.barred or one.candidate)
        for one in view.models
    )
