"""What would be started for a model on this machine: for who wants to see it, or to know before anything is."""

import asyncio
import os
import time
from pathlib import Path

from appliance.inference.backends.contract import BackendContext, Plan, Profile
from appliance.inference.backends.registry import factory_of
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.errors import EngineAbsent
from appliance.inference.hardware.reading import this_machine
from appliance.inference.scheduling.machine import Machine
from appliance.inference.scheduling.memory import MACHINE, rooms
from appliance.lib.config import Config, plain_environment
from appliance.sandbox.process.client import ProcessSandbox


def plan_here(config: Config, manifest: Manifest, folder: Path, profile: Profile) -> Plan:
    """Raises ModelRefused, EngineAbsent: also where a process of it could not be started."""
    return asyncio.run(_plan(config, manifest, folder, profile))


def why_it_does_not_fit(plan: Plan) -> str:
    """With the numbers, and with nothing else loaded; empty where it fits."""
    room_of = rooms(this_machine.get())
    found = Machine(room_of, (), time.monotonic()).fit(plan.profile.device or MACHINE, plan.footprint)
    return "" if found.possible else found.reason


async def _plan(config: Config, manifest: Manifest, folder: Path, profile: Profile) -> Plan:
    home = config.home
    context = BackendContext(
        home.id,
        home.models,
        home.data / "engines",
        plain_environment(os.environ),
        ProcessSandbox(home.spawner_socket),
        home.guard_socket,
    )
    backend = factory_of(profile.engine).build(context)
    try:
        hardware = await asyncio.to_thread(this_machine.get)
        plan = backend.plan(manifest, folder, profile, hardware, None)
        if not plan.image:
            probe = await backend.probe()
            if not probe.available:
                raise EngineAbsent(probe.reason, hint=probe.hint)
        return plan
    finally:
        await backend.close()
