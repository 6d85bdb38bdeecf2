"""A shard's run: the steps of its body, and the names that its row brings."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs import ceiling, origins
from appliance.runs.growing import ABOVE, ASKED, Growth, growing
from appliance.runs.plan import Progress, StepRow
from appliance.safety.policy.vocabulary import Origin
from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.definition.bodies import bodies_of, names_inside, step_named

TAKEN_BACK = "taken_back"
"""Among the inputs of a shard whose steps grow: those of them that people want taken back."""
ALWAYS_KEPT = (ceiling.KEY, origins.KEY, ABOVE, "chain", "depth", "vars")


class OfRun(Protocol):
    """What the row of a run says of being a shard."""

    @property
    def split_id(self) -> UUID | None: ...
    @property
    def inputs(self) -> JsonObject: ...


class Body:
    """What one run performs: the whole task, or for a shard the body that it is one time of.

    That it is a shard says its row, which the engine alone writes, and never what somebody gave it to start with.
    """

    def __init__(self, definition: TaskDefinition, row: OfRun) -> None:
        self._whole = definition
        self._growth: Growth | None = None
        self._differs: dict[str, Any] = {}
        self._held: list[tuple[StepSpec, StepSpec]] = []
        self._fixed = definition
        shard = row.inputs.get("shard")
        if row.split_id is None or not isinstance(shard, dict):
            return
        step = step_named((*definition.actions, *definition.on_failure), str(shard["step"]))
        kind = growing(step.type) if step else None
        if step is None or kind is None:
            bodies = bodies_of(step) if step else {}
            self._fixed = _performing(definition, bodies.get(str(shard.get("branch", "")), ()))
        else:
            asked = row.inputs.get(ASKED)
            self._growth = kind.growth(asked if isinstance(asked, dict) else {})
            if step.gate:
                self._differs["gate"] = step.gate
            if step.safe_state:
                self._differs["undo"] = ()  # nothing that such a step did is taken back

    @property
    def grows(self) -> bool:
        """Whether its steps follow from its rows."""
        return self._growth is not None

    def now(self, latest: Mapping[str, StepRow]) -> TaskDefinition:
        """The task as this run performs it. ``latest``, the last row of each step, says how far it has grown."""
        if self._growth is None:
            return self._fixed
        return _performing(self._whole, self._as_held(self._growth.steps(latest)))

    def resumes_at(self, latest: Mapping[str, StepRow]) -> str:
        """The step from which a run goes on that takes this one's work over; empty: where it stopped."""
        return self._growth.resumes_at(latest) if self._growth is not None else ""

    def _as_held(self, grown: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
        """Each with what the step around it asks for; of what was there before, the copy that was made then."""
        if not self._differs:
            return grown
        for place, one in enumerate(grown):
            if place >= len(self._held) or self._held[place][0] is not one:
                self._held[place:] = [(one, one.model_copy(update=self._differs))]
        return tuple(held for _, held in self._held[: len(grown)])


def own_definition(definition: TaskDefinition, row: OfRun, rows: Iterable[StepRow] = ()) -> TaskDefinition:
    """As ``Body.now``, for who asks once; ``rows`` in their order."""
    return Body(definition, row).now({one.step: one for one in rows})


def _performing(definition: TaskDefinition, steps: tuple[StepSpec, ...]) -> TaskDefinition:
    own = definition.model_copy(update={"actions": steps, "on_failure": (), "undo_on_failure": False})
    own.__dict__.pop("undo_steps", None)  # a copy keeps what the whole task has computed of itself
    return own


def grows(row: OfRun) -> bool:
    """Whether the run's steps follow from its rows."""
    return row.split_id is not None and ASKED in row.inputs


def asked_back(row: OfRun) -> frozenset[str] | None:
    """The steps that an undo of this run is about; None for all, as of every run whose steps do not grow."""
    if not grows(row):
        return None
    named = row.inputs.get(TAKEN_BACK)
    return frozenset(map(str, named)) if isinstance(named, list) else frozenset()


def bring(row: OfRun, base: JsonObject, progress: Progress) -> None:
    """Add what a shard's row brings to the names that its steps see."""
    if row.split_id is None:
        return
    inputs = row.inputs
    for name in ("item", "index", "error"):
        if name in inputs:
            base[name] = inputs[name]
    outputs = inputs.get("outputs")
    if isinstance(outputs, dict):
        progress.outputs = {**outputs, **progress.outputs}
    if "output" in inputs and not progress.has_output:
        progress.output, progress.has_output = inputs["output"], True


def context_of(
    definition: TaskDefinition, spec: StepSpec, inputs: JsonObject, scope: JsonObject
) -> JsonObject:
    """What every shard's row gets of what is around it: all that the body names, and nothing else.

    ``scope`` is what the step that is split sees.
    """
    names = names_inside(spec)
    for gate in (definition.gate, spec.gate if growing(spec.type) else None):
        if gate is not None:
            names |= gate.plant_state.names | gate.plant_state.guarded
    roots = {name.partition(".")[0] for name in names}
    context: JsonObject = {key: inputs[key] for key in ALWAYS_KEPT if key in inputs}
    context |= {key: inputs[key] for key in ("payload", "topic", "event") if key in inputs and key in roots}
    captures = inputs.get("captures")
    if isinstance(captures, dict):
        context["captures"] = {key: value for key, value in captures.items() if key in roots}
    context |= {
        key: scope[key] for key in ("item", "index", "output", "error") if key in roots and key in scope
    }
    outputs = scope.get("outputs")
    if isinstance(outputs, dict) and "outputs" in roots:
        used = {name.partition(".")[2] for name in names if name.startswith("outputs.")}
        kept: dict[str, JsonValue] = {
            key: value for key, value in outputs.items() if "outputs" in names or key in used
        }
        context["outputs"] = kept
    return context


def grown_context(arguments: JsonObject, context: JsonObject, origin: str, also: Iterable[str]) -> JsonObject:
    """The context of the one shard of a step that grows: what it was asked, once; what it calls for is an agent's."""
    return {**context, ASKED: arguments, origins.KEY: led_by_agent(origin, also)}


def led_by_agent(origin: str, also: Iterable[str]) -> list[JsonValue]:
    """What the steps are judged by that an agent calls for in a run of this origin, besides that."""
    return [one for one in dict.fromkeys((*also, Origin.AGENT.value)) if one != origin]
