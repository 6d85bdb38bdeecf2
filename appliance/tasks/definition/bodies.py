"""Steps inside a step: the body of ``foreach`` and the branches of ``parallel``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from appliance.expressions.fields import names_in
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.tasks.definition.base import refuse
from appliance.tasks.definition.steps import StepSpec

DEEPEST = 3
"""How many steps with bodies may stand inside one another."""
MOST_BRANCHES = 50
BODY_KEYS = {"foreach": "actions", "parallel": "branches"}
"""The kinds whose steps have steps of their own, and the key under which those stand."""
BODY_NAMES = {"foreach": frozenset({"item", "index"}), "parallel": frozenset[str]()}
"""The names that exist in the body of each."""
NOT_AROUND_BODIES = {
    "retry": say("put it on the steps inside: what has succeeded there is not done again"),
    "effect": say("each step inside has its own"),
    "confirm": say("each step inside has its own"),
}
"""Keys that a step with a body does not take, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Body:
    """Validated steps. Not a model: who looks through a model for its own expressions does not find these."""

    steps: tuple[StepSpec, ...]

    def canonical(self) -> list[JsonObject]:
        return [canonical_step(step) for step in self.steps]


def canonical_step(step: StepSpec) -> JsonObject:
    apart = {"params", "undo", "undoes", *({"id"} if step.undoes else ())}
    common = step.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=apart)
    if step.undo:
        common["undo"] = [canonical_step(one) for one in step.undo]
    return {**common, **step.params.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def _body(value: Any) -> Body:
    if not isinstance(value, Body):
        raise refuse(say("this does not fit"), say("a list of actions"))
    return value


def _branches(value: Any) -> dict[str, Body]:
    if not isinstance(value, dict) or not all(isinstance(body, Body) for body in value.values()):
        raise refuse(
            say("this does not fit"), say("a mapping: the name of each branch, and the list of its actions")
        )
    return value


BodyField = Annotated[
    Body,
    PlainValidator(_body),
    PlainSerializer(Body.canonical, return_type=Any),
    WithJsonSchema({"description": "list of actions"}),
]
BranchesField = Annotated[
    dict[str, Body],
    PlainValidator(_branches),
    PlainSerializer(
        lambda branches: {name: body.canonical() for name, body in branches.items()}, return_type=Any
    ),
    WithJsonSchema({"description": "mapping to lists of actions"}),
]


def bodies_of(step: StepSpec) -> dict[str, tuple[StepSpec, ...]]:
    """The sequences of steps inside a step, by the name of the branch; ``foreach`` has one without a name."""
    key = BODY_KEYS.get(step.type)
    held = getattr(step.params, key) if key else {}
    bodies: dict[str, Body] = {"": held} if isinstance(held, Body) else held
    return {name: body.steps for name, body in bodies.items()}


def each_step(steps: Iterable[StepSpec]) -> Iterator[StepSpec]:
    """Every step, those inside others included."""
    for step in steps:
        yield step
        for inside in bodies_of(step).values():
            yield from each_step(inside)


def step_named(steps: Iterable[StepSpec], wanted: str) -> StepSpec | None:
    return next((step for step in each_step(steps) if step.id == wanted), None)


def names_inside(step: StepSpec) -> frozenset[str]:
    """Every name that the steps inside a step may use of what is around it."""
    found: frozenset[str] = frozenset()
    for steps in bodies_of(step).values():
        for inside in each_step(steps):
            needed, guarded = names_in([inside.condition, inside.gate, inside.params])
            found |= needed | guarded
    return found
