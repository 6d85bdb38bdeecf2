"""How much a model takes, and what memory there is. Pure; sizes are bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.inference.backends.contract import Footprint, Profile, Stats
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import EngineKind
from appliance.inference.hardware.domain import Hardware, MemoryKind

GIB = 1 << 30
MACHINE = ""
"""The name of the machine's own memory among the rooms, as in ``Profile.device``."""
OVERHEAD = {EngineKind.TRTLLM: 3 * GIB, EngineKind.VLLM: 3 * GIB // 2, EngineKind.LLAMACPP: GIB // 4}
"""Beside weights and conversations, until it has been seen at work."""
_SAFETY = 0.1
_LEAST_SAFETY = GIB // 4
_UNKNOWN_KV = 128 << 10
"""Bytes of a token, where the files do not say: of a model of 8 thousand million parameters."""


def kv_bytes(manifest: Manifest, profile: Profile) -> int:
    """Of all conversations at once, at two bytes a number: 2 (keys, values) * layers * heads * size * tokens."""
    shape = manifest.shape
    each = _UNKNOWN_KV
    if shape.layers and shape.kv_heads and shape.head_size:
        each = 2 * 2 * shape.layers * shape.kv_heads * shape.head_size
    return 0 if manifest.embeddings else each * profile.context * profile.slots


def estimate(manifest: Manifest, profile: Profile) -> Footprint:
    """From above, before it has been seen at work."""
    if profile.engine is EngineKind.REMOTE:
        return Footprint(0, 0)
    whole = manifest.size + kv_bytes(manifest, profile) + OVERHEAD[profile.engine]
    return Footprint(whole, GIB) if profile.device else Footprint(0, whole)


def taken_at_work(manifest: Manifest, profile: Profile, known: Footprint, stats: Stats) -> Footprint | None:
    """What one on the processor says that it takes; of what was measured before the most. None where it does not say,
    and of one on a device: the figure that engines give there is of all that run on the device.

    Never less than weights and conversations: files that are mapped into memory are nobody's by the kernel's count.
    """
    if profile.device or profile.engine is EngineKind.REMOTE or not stats.memory:
        return None
    least = known.memory if known.measured else manifest.size + kv_bytes(manifest, profile)
    return replace(known, memory=max(stats.memory, least), measured=True)


@dataclass(frozen=True, slots=True)
class Room:
    """Memory of one device or of the machine. ``used`` is what the driver reports, None where it does not; ``shares``:
    it is the machine's own under the name of a device that has none."""

    total: int
    used: int | None = None
    shares: bool = False

    def free(self, reserved: int, coming: int = 0) -> int:
        """What may be given out beside ``reserved``: the worse of what was promised and of what is seen.

        ``coming`` is what of it is still being loaded, and so not yet in ``used``.
        """
        safety = max(int(self.total * _SAFETY), _LEAST_SAFETY)
        promised, seen = self.total - reserved, self.total - (self.used or 0) - coming
        return min(promised, seen) - safety


def rooms(hardware: Hardware) -> dict[str, Room]:
    """By ``Accelerator.id``, and the machine's own, which is also that of each device without memory of its own."""
    machine = Room(hardware.memory_total, hardware.memory_total - hardware.memory_available)
    sharing = {
        device.id: replace(machine, shares=True)
        for device in hardware.accelerators
        if device.memory_kind is MemoryKind.UNIFIED
    }
    found = {
        device.id: Room(device.memory_total, device.memory_used)
        for device in hardware.accelerators
        if device.memory_kind is MemoryKind.DEDICATED and device.memory_total
    }
    return {**sharing, **found, MACHINE: machine}


def settled(device: str, takes: Footprint, room_of: Mapping[str, Room]) -> tuple[str, Footprint]:
    """Where it really lies: of a device that shares the machine's memory all of it is missing there."""
    room = room_of.get(device)
    if room is None or not room.shares:
        return device, takes
    return MACHINE, Footprint(0, takes.device + takes.memory, takes.measured)


def gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
