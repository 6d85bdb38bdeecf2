"""The origins of what led to a run, which it is judged by besides its own: handed down as the ceiling is."""

from collections.abc import Iterable
from typing import Protocol

from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.safety.policy.origins import judged, started_by, word_of
from appliance.safety.policy.vocabulary import Origin
from appliance.tasks.ports import NewRun

KEY = "origins"
"""Among a run's inputs: the origins of the runs that led to it, the first of them first. Only the engine writes it."""

_KNOWN = frozenset(Origin)


class OfRun(Protocol):
    """What a run's row says of its origin."""

    @property
    def principal(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def inputs(self) -> JsonMapping: ...


def handed(inputs: JsonMapping) -> tuple[str, ...]:
    """The origins before the run's own; something that is no list of them means every one."""
    if KEY not in inputs:
        return ()
    found = inputs[KEY]
    if isinstance(found, list) and all(isinstance(one, str) and one in _KNOWN for one in found):
        return tuple(str(one) for one in found)
    return tuple(Origin)


def handed_on(origin: str, before: Iterable[str]) -> tuple[str, ...]:
    """What a run of this origin hands down: what came before it, and then its own."""
    return tuple(dict.fromkeys((*before, origin)))


def chain_of(run: OfRun) -> tuple[str, ...]:
    """What the run hands down to whatever it leads to."""
    return handed_on(run.origin, handed(run.inputs))


def kept(new: NewRun) -> JsonObject:
    """The inputs of a run as its row has them."""
    led = [one for one in dict.fromkeys(new.also) if one != new.origin]
    return {**new.inputs, KEY: [*led]} if led else new.inputs


def on_record(origin: str, besides: Iterable[str]) -> JsonObject:
    """What the audit record says of it: its own origin, and what else it is judged by where there is more."""
    own, *more = judged((origin, *besides))
    return {"origin": own, **({"also": [*more]} if more else {})}


def started_again(old: OfRun, principal: str) -> tuple[str, tuple[str, ...]]:
    """The origin of a run that somebody begins from an earlier one, and what it is judged by besides."""
    own, besides = started_by(principal)
    return own, (*chain_of(old), *besides)


def of_undo(undo_by: str) -> tuple[str, ...]:
    """What is taken back is judged by how that was asked for as well; empty where nobody asked."""
    return word_of(undo_by) if undo_by else ()


def also(inputs: JsonMapping, undo_by: str = "") -> tuple[str, ...]:
    """What a run with these inputs is judged by besides its own origin; ``undo_by`` asked for what it does now."""
    return (*handed(inputs), *of_undo(undo_by))


def judged_as(run: OfRun) -> tuple[str, ...]:
    """All origins that the run is judged by, its own first."""
    return judged((run.origin, *handed(run.inputs)))


def before(run: OfRun) -> tuple[str, ...]:
    """The origins that led to the run, for people: without what its own counts as."""
    own = started_by(run.principal)[1]
    return tuple(one for one in handed(run.inputs) if one not in own)
