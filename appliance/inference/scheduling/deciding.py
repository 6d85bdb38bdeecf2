"""What becomes of one who waits for a model. Pure: it looks at everything and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.inference.domain import InstanceState
from appliance.inference.errors import TOO_LONG
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.line import Waiter
from appliance.inference.scheduling.memory import Room, fit

HURRY = 0.25
"""Of its deadline left, and a lesser model that is free is better than a good one that is busy."""
_SOON = 3600.0


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


def decide(
    waiter: Waiter, instances: Mapping[str, Instance], room_of: Mapping[str, Room], now: float
) -> Decision:
    """The first of the chain that can serve in time; the best of those that will."""
    rejected: dict[str, str] = {}
    best: Decision | None = None
    left = waiter.until - now
    for name in waiter.chain:
        found = _look(waiter, instances.get(name), instances, room_of, now, left)
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


def _look(
    waiter: Waiter,
    instance: Instance | None,
    instances: Mapping[str, Instance],
    room_of: Mapping[str, Room],
    now: float,
    left: float,
) -> Decision | str:
    """What can be done with this one, or why nothing."""
    if instance is None:
        return "it is not served on this box"
    unfit = _unfit(waiter, instance)
    if unfit:
        return unfit
    state, name = instance.state, instance.name
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
    return _load(waiter, instance, instances, room_of, now, left)


def _unfit(waiter: Waiter, instance: Instance) -> str:
    """Why it could not answer even if it were ready; empty where it could."""
    wish, served = waiter.wish, instance.served
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
    """Whether it could be loaded now without anybody going, and nothing else is being loaded on its device."""
    others = _others(instance, instances)
    found = fit(instance.device, instance.footprint, room_of, [one.resident(now) for one in others], now)
    return found.possible and not found.evict and found.wait is None and not _loading(instance, others)


def _others(instance: Instance, instances: Mapping[str, Instance]) -> list[Instance]:
    return [one for one in instances.values() if one is not instance and one.state in LIVING]


def _loading(instance: Instance, others: list[Instance]) -> bool:
    """Two loads on one device take longer than one after the other, and their sizes are not known yet."""
    states = (InstanceState.CREATING, InstanceState.LOADING)
    return any(one.device == instance.device and one.state in states for one in others)


def _load(
    waiter: Waiter,
    instance: Instance,
    instances: Mapping[str, Instance],
    room_of: Mapping[str, Room],
    now: float,
    left: float,
) -> Decision | str:
    others = _others(instance, instances)
    found = fit(
        instance.device,
        instance.footprint,
        room_of,
        [one.resident(now) for one in others],
        now,
        rank=waiter.wish.priority.rank,
    )
    if not found.possible:
        return found.reason
    expected = instance.loads_in(now)
    if found.wait is not None:
        if found.wait > left:
            return f"{found.reason}, for {found.wait:.0f} s more"
        return Decision(Move.WAIT, instance.name, why="evicting", expected=found.wait + expected)
    if _loading(instance, others):
        return Decision(Move.WAIT, instance.name, why="queued", expected=expected)
    return Decision(Move.LOAD, instance.name, found.evict, "loading", min(expected, _SOON))
