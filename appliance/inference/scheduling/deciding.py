"""What becomes of one who waits for a model. Pure: it looks at everything and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from appliance.inference.domain import InstanceState
from appliance.inference.errors import TOO_LONG
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.line import Waiter
from appliance.inference.scheduling.machine import ANYBODY, Claim, Machine
from appliance.inference.scheduling.memory import Room

HURRY = 0.25
"""Of its deadline left, and a lesser model that is free is better than a good one that is busy."""
FAIR = 30.0
"""Seconds in the line after which those at work make room, where what they do is not more urgent."""
_SOON = 3600.0
_NEVER = float("-inf")
_COMING = frozenset({InstanceState.CREATING, InstanceState.LOADING})


class Move(StrEnum):
    GRANT = "grant"
    LOAD = "load"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """``evict``: who has to go before it is loaded. ``rejected``: why not each of those that stand before it."""

    move: Move
    name: str = ""
    evict: tuple[str, ...] = ()
    why: str = ""
    expected: float | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)


class Moment:
    """All models as they stand now, for one claim. Who waits may take fifty of them: what is the same for all is
    looked at once."""

    def __init__(
        self,
        instances: Mapping[str, Instance],
        room_of: Mapping[str, Room],
        now: float,
        claim: Claim = ANYBODY,
        freed_at: float = _NEVER,
    ) -> None:
        self.instances = instances
        self.now = now
        self._room_of = room_of
        self._claim = claim
        self._freed_at = freed_at

    @cached_property
    def machine(self) -> Machine:
        living = (one for one in self.instances.values() if one.state in LIVING)
        residents = [one.resident(self.now) for one in living]
        return Machine(self._room_of, residents, self.now, self._claim, freed_at=self._freed_at)

    @cached_property
    def loading(self) -> frozenset[str]:
        """The devices on which something is being loaded. Two loads on one device take longer than one after the other,
        and their sizes are not known yet."""
        return frozenset(one.device for one in self.instances.values() if one.state in _COMING)


def decide(
    waiter: Waiter,
    instances: Mapping[str, Instance],
    room_of: Mapping[str, Room],
    now: float,
    freed_at: float = _NEVER,
) -> Decision:
    """The first of the chain that can serve in time; the best of those that will. ``freed_at``: when the last engine
    ended."""
    moment = Moment(instances, room_of, now, _claim(waiter, now), freed_at)
    left = waiter.until - now
    rejected: dict[str, str] = {}
    best: Decision | None = None
    for name in waiter.chain:
        found = _look(waiter, instances.get(name), moment, left)
        if isinstance(found, str):
            rejected[name] = found
        elif found.move is Move.WAIT:
            best = best or found
            if left > HURRY * waiter.wish.deadline:
                break
        else:
            return _with(found, rejected)
    if best is not None:
        return _with(best, rejected)
    return Decision(Move.REFUSE, rejected=rejected)


def _with(decision: Decision, rejected: Mapping[str, str]) -> Decision:
    return Decision(
        decision.move, decision.name, decision.evict, decision.why, decision.expected, dict(rejected)
    )


def _look(waiter: Waiter, instance: Instance | None, moment: Moment, left: float) -> Decision | str:
    """What can be done with this one, or why nothing."""
    if instance is None:
        return "it is not served on this box"
    unfit = _unfit(waiter, instance)
    if unfit:
        return unfit
    state, name, now = instance.state, instance.name, moment.now
    if state is InstanceState.READY:
        free = instance.slots_free > 0
        return Decision(Move.GRANT, name) if free else Decision(Move.WAIT, name, why="queued")
    if state is InstanceState.QUARANTINED:
        return f"it is in quarantine: {instance.reason}"
    if state in (InstanceState.DRAINING, InstanceState.STOPPING):
        return Decision(Move.WAIT, name, why="evicting")
    expected = instance.loads_in(now) + instance.standing.rests(now)
    if expected > left and (instance.load_seconds is not None or state is InstanceState.FAILED):
        why = f"; it failed before: {instance.reason}" if state is InstanceState.FAILED else ""
        return f"it is ready in about {expected:.0f} s, and the answer is wanted within {left:.0f} s{why}"
    if state in LIVING or instance.standing.rests(now) > 0:
        return Decision(Move.WAIT, name, why="loading", expected=expected)
    return _load(waiter, instance, moment, left)


def _unfit(waiter: Waiter, instance: Instance) -> str:
    """Why it could not answer even if it were ready; empty where it could."""
    wish, served = waiter.wish, instance.served
    if instance.barred:
        return instance.barred
    if wish.pinned and served.manifest.digest != wish.pinned:
        return "it is another version than the run began with"
    lacking = wish.needs - served.can
    if lacking:
        return f"it cannot do {', '.join(sorted(lacking))}"
    if wish.tokens > served.profile.context:
        return TOO_LONG.format(tokens=wish.tokens, context=served.profile.context)
    return ""


def can_load(
    instance: Instance, instances: Mapping[str, Instance], room_of: Mapping[str, Room], now: float
) -> bool:
    """Whether one that is not loaded could be now without anybody going, and nothing else is coming to its device."""
    moment = Moment(instances, room_of, now)
    found = moment.machine.fit(instance.device, instance.footprint)
    return found.possible and not found.evict and found.wait is None and instance.device not in moment.loading


def _claim(waiter: Waiter, now: float) -> Claim:
    """Tests hurry nobody, and never take the place of what their candidate is to follow."""
    wish = waiter.wish
    if wish.candidate:
        return Claim(wish.priority.rank, stays=wish.model.partition("@")[0])
    return Claim(wish.priority.rank, overdue=now - waiter.since >= FAIR)


def _load(waiter: Waiter, instance: Instance, moment: Moment, left: float) -> Decision | str:
    found = moment.machine.fit(instance.device, instance.footprint)
    if not found.possible:
        return found.reason
    expected = instance.loads_in(moment.now)
    if found.wait is not None:
        if found.wait > left:
            return f"{found.reason}, for {found.wait:.0f} s more"
        return Decision(Move.WAIT, instance.name, why="evicting", expected=found.wait + expected)
    breaks_off = any(moment.instances[name].state in _COMING for name in found.evict)
    if instance.device in moment.loading and not breaks_off:
        return Decision(Move.WAIT, instance.name, why="queued", expected=expected)
    return Decision(Move.LOAD, instance.name, found.evict, "loading", min(expected, _SOON))
