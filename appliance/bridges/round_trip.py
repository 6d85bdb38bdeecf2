"""A probe: one question to the platform, and how long its answer took."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from appliance.bridges.ports import Probe, ProbeState
from appliance.lib.clock import Clock
from appliance.outbox.errors import DeliveryError, NotReady


async def round_trip(clock: Clock, ask: Callable[[], Awaitable[Probe]], identity: str = "") -> Probe:
    """What ``ask`` found, with the milliseconds that it took; a DeliveryError of it is a state, not an error.

    ``identity`` is who we are as far as that is known without an answer.
    """
    started = clock.monotonic()
    try:
        found = await ask()
    except NotReady as error:
        return Probe(ProbeState.WAITING, str(error), identity)
    except DeliveryError as error:
        return Probe(ProbeState.AWAY, error.message, identity)
    return replace(found, round_trip_ms=round((clock.monotonic() - started) * 1000, 1))
