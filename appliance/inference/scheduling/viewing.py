"""What the keeper shows of itself."""

from collections.abc import Mapping

from appliance.inference.leases import Queued, Seen, Space
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.line import Line, Waiter
from appliance.inference.scheduling.machine import Machine
from appliance.inference.scheduling.memory import Room

MOST_SHOWN = 50
_MOST_REJECTED, _LONGEST = 10, 300


def seen(instance: Instance, line: Line, now: float) -> Seen:
    served = instance.served
    return Seen(
        model=instance.name,
        version=served.manifest.version,
        digest=served.manifest.digest,
        engine=served.profile.engine,
        device=served.profile.device,
        state=instance.state,
        reason=instance.reason,
        progress=instance.progress,
        for_seconds=now - instance.since,
        generation=instance.generation,
        in_use=len(instance.held),
        slots=served.profile.slots,
        waiting=line.for_model(instance.name),
        device_bytes=instance.footprint.device,
        memory_bytes=instance.footprint.memory,
        measured=instance.footprint.measured,
        load_seconds=instance.load_seconds,
        again_in=instance.standing.rests(now),
        pinned=served.keep_alive is None,
        context=served.profile.context,
        offers=served.can,
        candidate=served.candidate,
        tokens_per_second=instance.pace.now(now),
        last_speed=instance.pace.last,
        barred=instance.barred,
    )


def queue(line: Line, now: float) -> tuple[Queued, ...]:
    """Those who are first in the line; ``View.waiting`` says how many there are."""
    return tuple(_queued(waiter, now) for waiter in list(line)[:MOST_SHOWN])


def _queued(waiter: Waiter, now: float) -> Queued:
    wish = waiter.wish
    return Queued(
        principal=wish.principal,
        model=wish.model,
        work=wish.work,
        priority=wish.priority,
        why=waiter.why,
        wanted=waiter.wanted,
        waited=now - waiter.since,
        left=waiter.until - now,
        expected=waiter.expected,
        rejected=tuple(
            (name, why[:_LONGEST]) for name, why in list(waiter.rejected.items())[:_MOST_REJECTED]
        ),
    )


def spaces(room_of: Mapping[str, Room], instances: Mapping[str, Instance], now: float) -> tuple[Space, ...]:
    """Each memory once: a device that shares the machine's has none of its own to show."""
    residents = [one.resident(now) for one in instances.values() if one.state in LIVING]
    machine = Machine(room_of, residents, now)
    return tuple(
        Space(device=name, total=room.total, used=room.used, free=max(0, machine.free(name)))
        for name, room in room_of.items()
        if not room.shares
    )
