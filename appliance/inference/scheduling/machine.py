"""What fits, and who has to go. Pure; sizes are bytes, seconds are monotonic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from appliance.inference.backends.contract import Footprint
from appliance.inference.scheduling.memory import MACHINE, Room, gib, settled

SEEN_WITHIN = 12.0
"""Seconds until the driver's figure shows that an engine is gone: it is asked each 5, its answer is good for 5 more,
and to ask takes a while."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that is loaded or being loaded, as the question of who must go sees it."""

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
    leaving: bool = False
    """It goes already; what it has will be free."""
    held: bool = False
    """Somebody has an answer of it."""
    candidate: bool = False

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
class Claim:
    """Who asks for memory. ``overdue``: they have waited so long that those at work make room; ``stays``: the one that
    never does."""

    rank: int = 0
    overdue: bool = False
    stays: str = ""


ANYBODY = Claim()


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether something fits. ``evict``: who has to go first; ``wait``: seconds until one who must not go yet may."""

    possible: bool
    evict: tuple[str, ...] = ()
    wait: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """What there is of one memory. ``sure``: free by all that is known for certain; then more and more: with those gone
    who go already, who may be sent away now, and who ever may."""

    name: str
    free: int
    sure: int
    soon: int
    freed: int
    most: int


class Machine:
    """The rooms and who is in them at one moment, for one claim. Who waits may ask for fifty models: what is the same
    for all of them is counted once.

    Nobody goes who is pinned, busy, or was loaded less than ``min_stay`` seconds ago, unless the new one is more urgent
    than what it serves. For a claim that is overdue those go too who are busy with nothing more urgent. ``freed_at``:
    when the last engine ended.
    """

    def __init__(
        self,
        room_of: Mapping[str, Room],
        residents: Sequence[Resident],
        now: float,
        claim: Claim = ANYBODY,
        *,
        min_stay: float = 60.0,
        freed_at: float = float("-inf"),
    ) -> None:
        self._room_of = room_of
        self._residents = [one.settled(room_of) for one in residents]
        self._now = now
        self._claim = claim
        self._min_stay = min_stay
        self._freed_lately = now - freed_at < SEEN_WITHIN
        self._places: dict[str, _Place] = {}

    def fit(self, device: str, need: Footprint) -> Fit:
        """Whether ``need`` fits on ``device``, and who has to go for it: those whose going costs least.

        What fits on an empty machine but not now is possible, after ``wait`` where that is known.
        """
        if device not in self._room_of:
            return Fit(False, reason=f"there is no device {device} any more")
        device, need = settled(device, need, self._room_of)
        asked = [
            (size, self._at(name)) for name, size in ((device, need.device), (MACHINE, need.memory)) if size
        ]
        if all(size <= at.free for size, at in asked):
            return Fit(True)
        if all(size <= at.sure for size, at in asked):
            return Fit(True, wait=1.0, reason="what is free is not seen to be free yet")
        for size, at in asked:
            if size > at.most:
                return Fit(
                    False, reason=f"it needs {gib(size)}, and at most {gib(max(at.most, 0))} can be freed"
                )
        if all(size <= at.soon for size, at in asked):
            return Fit(True, wait=1.0, reason="what it needs is being freed")
        going, later = self._movable
        if all(size <= at.freed for size, at in asked):
            missing = {at.name: size - at.soon for size, at in asked}
            return Fit(True, tuple(one.name for one in _cheapest(missing, going, self._now)))
        waits = [one.loaded_at + self._min_stay - self._now for one in later]
        return Fit(True, wait=max(min(waits, default=1.0), 0.0), reason="those who are loaded are at work")

    def free(self, place: str) -> int:
        """Bytes that may still be given out."""
        return self._at(place).free

    def _at(self, name: str) -> _Place:
        if name not in self._places:
            self._places[name] = self._counted(name)
        return self._places[name]

    def _counted(self, name: str) -> _Place:
        """While something loads, or when something has just gone, the driver's figure is not that of now: nobody is
        refused or sent away for it."""
        held = loading = leaving = movable = 0
        for one in self._residents:
            takes = _on(one, name)
            held += takes
            loading += takes if one.loading else 0
            leaving += takes if one.leaving else 0
            movable += takes if one.leaving or not _stays(one, self._claim) else 0
        room = self._room_of[name]
        free = sure = room.free(held, loading)
        if loading or self._freed_lately:
            sure = replace(room, used=None).free(held)
        now = sum(_on(one, name) for one in self._movable[0])
        return _Place(name, free, sure, sure + leaving, sure + leaving + now, sure + movable)

    @cached_property
    def _movable(self) -> tuple[list[Resident], list[Resident]]:
        """Who may go now, and who may later."""
        going: list[Resident] = []
        later: list[Resident] = []
        for one in self._residents:
            if _may_move(one, self._claim):
                may = self._now - one.loaded_at >= self._min_stay or self._claim.rank > one.rank
                (going if may else later).append(one)
        return going, later


def _stays(one: Resident, claim: Claim) -> bool:
    return one.pinned or one.name == claim.stays


def _may_move(one: Resident, claim: Claim) -> bool:
    """Whether it may be sent away at all: what is at work for who is overdue, tests for whoever is more urgent."""
    if one.leaving or _stays(one, claim):
        return False
    if not one.busy or (one.candidate and claim.rank > one.rank):
        return True
    return claim.overdue and one.held and claim.rank >= one.rank


def _cheapest(missing: Mapping[str, int], going: Sequence[Resident], now: float) -> tuple[Resident, ...]:
    """Few who free enough, at little cost: who has nothing to do first, then by cost for each byte; then whoever is not
    needed stays. All together they do free enough."""
    chosen: list[Resident] = []
    lack = dict(missing)
    for one in sorted(going, key=lambda one: (one.busy, one.cost(now) / max(_gives(one, missing), 1))):
        if all(short <= 0 for short in lack.values()):
            break
        if any(lack[place] > 0 and _on(one, place) for place in lack):
            chosen.append(one)
            lack = {place: short - _on(one, place) for place, short in lack.items()}
    for one in sorted(chosen, key=lambda one: (not one.busy, -one.cost(now))):
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
