"""Engines of an earlier life of the keeper: what is as it would be made now is taken over, everything else ends."""

import asyncio
import logging
from collections.abc import Mapping

from appliance.inference.backends.contract import Backend, Running
from appliance.inference.domain import EngineKind
from appliance.inference.hardware.domain import Hardware
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.life import GRACE
from appliance.inference.scheduling.roster import Roster
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)


async def adopt(roster: Roster, backends: Mapping[EngineKind, Backend], hardware: Hardware) -> None:
    """Once, before anything is loaded. A backend that cannot say what runs is passed over."""
    for kind, backend in backends.items():
        try:
            found = await backend.found()
        except (MillwrightError, OSError) as error:
            log.warning("what of %s still runs is not known: %s", kind.value, error)
            continue
        # Of two of one model the later one is the one that was in use.
        for running in sorted(found, key=lambda one: -one.generation):
            name = _same(running, roster.instances, backend, hardware)
            if name is None:
                await _end(backend, running)
            else:
                roster.load(name, hardware, adopted=running)


def _same(
    running: Running, instances: Mapping[str, Instance], backend: Backend, hardware: Hardware
) -> str | None:
    """The name of the model that it serves, where it was made from the plan that would be made now."""
    for instance in instances.values():
        served = instance.served
        if served.profile.engine is not backend.kind or instance.state in LIVING or not running.plan:
            continue
        if instance.barred:
            continue
        learned = instance.footprint if instance.footprint.measured else None
        try:
            plan = backend.plan(served.manifest, served.folder, served.profile, hardware, learned)
        except MillwrightError:
            continue
        if plan.digest == running.plan:
            return instance.name
    return None


async def _end(backend: Backend, running: Running) -> None:
    try:
        await backend.stop(running, GRACE)
    except (MillwrightError, OSError) as error:
        log.warning("%s of an earlier life does not end: %s", running.name, error)


async def end_all(backends: Mapping[EngineKind, Backend]) -> None:
    """Whatever still runs of this box, known to a keeper or not. A backend that cannot say what runs is passed over."""
    for kind, backend in backends.items():
        try:
            found = await backend.found()
        except (MillwrightError, OSError) as error:
            log.warning("what of %s still runs is not known: %s", kind.value, error)
            continue
        await asyncio.gather(*(_end(backend, running) for running in found))
