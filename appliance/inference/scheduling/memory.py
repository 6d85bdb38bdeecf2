"""How much a model takes, what is free, and who has to go. Pure; sizes are bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.inference.backends.contract import Footprint, Profile
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


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that is loaded or being loaded, as the question of who must go sees it. Seconds are monotonic."""

    name: str
    device: str
    footprint: Footprint
    busy: bool
    pinned: bool
    loaded_at: float
    last_used: float
    load_seconds: float
    rank: int
    """The priority of the most urgent wish that it served lately."""
    loading: bool = False

    def settled(self, room_of: Mapping[str, Room]) -> "Resident":
        device, takes = settled(self.device, self.footprint, room_of)
        if device == self.device:
            return self
        return replace(self, device=device, footprint=takes)

    def cost(self, now: float) -> float:
        """What its going away would cost: how long it takes to come back, the dearer the more urgently and lately it
        was used."""
        idle = max(now - self.last_used, 0.0)
        return self.load_seconds * (1.0 + max(self.rank, 0) / 10.0) / (1.0 + idle / 60.0)


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether something fits. ``evict``: who has to go first; ``wait``: seconds until one who must not go yet may."""

    possible: bool
    evict: tuple[str, ...] = ()
    wait: float | None = None
    reason: str = ""


class Machine:
    """The rooms and who is in them at one moment. Who waits may ask for fifty models: what is the same for all of them
    is counted once.

    Nobody goes who is pinned, busy, or was loaded less than ``min_stay`` seconds ago, unless the new one is more urgent
    than what it serves.
    """

    def __init__(
        self,
        room_of: Mapping[str, Room],
        residents: Sequence[Resident],
        now: float,
        *,
        min_stay: float = 60.0,
    ) -> None:
        self._room_of = room_of
        self._residents = [one.settled(room_of) for one in residents]
        self._now = now
        self._min_stay = min_stay
        self._free: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._movable: dict[int, tuple[list[Resident], list[Resident]]] = {}
        self._given: dict[tuple[int, str], int] = {}

    def fit(self, device: str, need: Footprint, *, rank: int = 0) -> Fit:
        """Whether ``need`` fits on ``device``, and who has to go for it: those whose going costs least.

        What fits on an empty machine but not now is possible, after ``wait`` where that is known.
        """
        if device not in self._room_of:
            return Fit(False, reason=f"there is no device {device} any more")
        device, need = settled(device, need, self._room_of)
        asked = {place: size for place, size in ((device, need.device), (MACHINE, need.memory)) if size}
        missing = {place: size - self.free(place) for place, size in asked.items()}
        if all(lack <= 0 for lack in missing.values()):
            return Fit(True)
        for place, size in asked.items():
            if size > (most := self._at_most(place)):
                return Fit(
                    False, reason=f"it needs {_gib(size)}, and at most {_gib(max(most, 0))} can be freed"
                )
        going, later = self._split(rank)
        if all(lack <= self._given_by(rank, place) for place, lack in missing.items()):
            return Fit(True, tuple(one.name for one in _cheapest(missing, going, self._now)))
        waits = [one.loaded_at + self._min_stay - self._now for one in later]
        return Fit(True, wait=max(min(waits, default=1.0), 0.0), reason="those who are loaded are at work")

    def free(self, place: str) -> int:
        """Bytes that may still be given out."""
        if place not in self._free:
            held = sum(_on(one, place) for one in self._residents)
            coming = sum(_on(one, place) for one in self._residents if one.loading)
            self._free[place] = self._room_of[place].free(held, coming)
        return self._free[place]

    def _at_most(self, place: str) -> int:
        """Were nobody there but who is pinned."""
        if place not in self._most:
            freed = sum(_on(one, place) for one in self._residents if not one.pinned)
            self._most[place] = self.free(place) + freed
        return self._most[place]

    def _split(self, rank: int) -> tuple[list[Resident], list[Resident]]:
        """Who may go now, and who may later, for one of this rank."""
        if rank not in self._movable:
            going: list[Resident] = []
            later: list[Resident] = []
            for one in self._residents:
                if not one.pinned and not one.busy:
                    may = self._now - one.loaded_at >= self._min_stay or rank > one.rank
                    (going if may else later).append(one)
            self._movable[rank] = going, later
        return self._movable[rank]

    def _given_by(self, rank: int, place: str) -> int:
        """What would be free there with all gone that may go now."""
        if (rank, place) not in self._given:
            self._given[rank, place] = sum(_on(one, place) for one in self._split(rank)[0])
        return self._given[rank, place]


def _cheapest(missing: Mapping[str, int], going: Sequence[Resident], now: float) -> tuple[Resident, ...]:
    """Few who free enough, at little cost: by cost for each byte first, then whoever is not needed stays. All together
    they do free enough."""
    chosen: list[Resident] = []
    lack = dict(missing)
    for one in sorted(going, key=lambda one: one.cost(now) / max(_gives(one, missing), 1)):
        if all(short <= 0 for short in lack.values()):
            break
        if any(lack[place] > 0 and _on(one, place) for place in lack):
            chosen.append(one)
            lack = {place: short - _on(one, place) for place, short in lack.items()}
    for one in sorted(chosen, key=lambda one: -one.cost(now)):
        without = {place: short + _on(one, place) for place, short in lack.items()}
        if all(short <= 0 for short in without.values()):
            chosen.remove(one)
            lack = without
    return tuple(chosen)


def _gives(one: Resident, missing: Mapping[str, int]) -> int:
    return sum(min(_on(one, place), max(short, 0)) for place, short in missing.items())


def _on(one: Resident, place: str) -> int:
    """What it takes there. Of one without a device all is in the machine's memory."""
    found = one.footprint.memory if place == MACHINE else 0
    return found + (one.footprint.device if one.device == place else 0)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
