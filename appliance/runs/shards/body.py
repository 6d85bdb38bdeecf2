"""A shard's run: the steps of its body, and the names that its row brings."""

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs import ceiling, origins
from appliance.runs.growing import ABOVE, ASKED, growing
from appliance.runs.plan import Progress, StepRow
from appliance.safety.policy.vocabulary import Origin
from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.definition.bodies import bodies_of, names_inside, step_named

ALWAYS_KEPT = (ceiling.KEY, origins.KEY, ABOVE, "chain", "depth", "vars")


class OfRun(Protocol):
    """What the row of a run says of being a shard."""

    @property
    def split_id(self) -> UUID | None: ...
    @property
    def inputs(self) -> JsonObject: ...


def own_definition(definition: TaskDefinition, row: OfRun, rows: Iterable[StepRow] = ()) -> TaskDefinition:
    """The task as this run performs it: the whole, or for a shard the body that it is one time of.

    That it is a shard says its row, which the engine alone writes, and never what somebody gave it to start with.
    ``rows``, in their order: of a shard whose steps grow they say how far it has grown.
    """
    shard = row.inputs.get("shard")
    if row.split_id is None or not isinstance(shard, dict):
        return definition
    step = step_named((*definition.actions, *definition.on_failure), str(shard["step"]))
    body = _body(step, str(shard.get("branch", "")), row, rows) if step else ()
    own = definition.model_copy(update={"actions": body, "on_failure": (), "undo_on_failure": False})
    own.__dict__.pop("undo_steps", None)  # a copy keeps what the whole task has computed of itself
    return own


def _body(step: StepSpec, branch: str, row: OfRun, rows: Iterable[StepRow]) -> tuple[StepSpec, ...]:
    kind = growing(step.type)
    if kind is None:
        return bodies_of(step).get(branch, ())
    asked = row.inputs.get(ASKED)
    grown = kind.grow(asked if isinstance(asked, dict) else {}, {one.step: one for one in rows})
    return tuple(one.model_copy(update={"gate": step.gate}) for one in grown) if step.gate else grown


def grows(row: OfRun) -> bool:
    """Whether the run's steps follow from its rows."""
    return row.split_id is not None and ASKED in row.inputs


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
    led = [*dict.fromkeys((*also, Origin.AGENT.value))]
    return {**context, ASKED: arguments, origins.KEY: [one for one in led if one != origin]}
