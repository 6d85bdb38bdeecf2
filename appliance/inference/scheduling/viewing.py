"""What the keeper shows of itself."""

from collections.abc import Mapping

from appliance.inference.leases import Seen, Space
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.line import Line
from appliance.inference.scheduling.memory import Room, free_of


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
    )


def spaces(room_of: Mapping[str, Room], instances: Mapping[str, Instance], now: float) -> tuple[Space, ...]:
    residents = [one.resident(now) for one in instances.values() if one.state in LIVING]
    return tuple(
        Space(device=name, total=room.total, used=room.used, free=max(0, free_of(name, room_of, residents)))
        for name, room in room_of.items()
    )
