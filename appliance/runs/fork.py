"""Where an ended run may go on as a new one, what of it is shared, and what would be done twice: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from appliance.actions.contract import EffectClass
from appliance.lib.errors import MillwrightError
from appliance.runs.domain import ENDED_WITH_RUN, StepState
from appliance.runs.effects import effects_inside
from appliance.runs.plan import Phase, StepRow, took_effect
from appliance.tasks.definition import StepSpec, TaskDefinition

_REPEATED_HARMLESSLY = frozenset({EffectClass.PURE, EffectClass.IDEMPOTENT})


class ForkRefused(MillwrightError):
    """The run cannot go on from there."""

    code = "runs.fork_refused"


class WouldRepeat(ForkRefused):
    """Steps that took effect, or may have, would be performed a second time; a person has to want that."""

    code = "runs.would_repeat"


@dataclass(frozen=True, slots=True)
class KeptShards:
    """The split of which the step's shards are taken over: ``done`` of ``total`` are not done again."""

    split: UUID
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A new run begins at ``step``; it shares the rows ``shared``, and ``repeats`` are done a second time."""

    step: str
    shared: tuple[StepRow, ...]
    repeats: tuple[str, ...]
    shards: KeptShards | None = None


def fork_at(definition: TaskDefinition, rows: Sequence[StepRow], step: str = "") -> Fork:
    """The fork at ``step``, or where the run stopped. Raises ForkRefused."""
    latest = {row.step: row for row in rows}
    stopped = _stopped_at(definition, latest)
    if not step and stopped is None:
        raise ForkRefused("every step of this run is done", hint="name the step to go on from")
    names = [spec.id for spec in definition.actions]
    chosen = step or (stopped or "")
    if chosen not in names:
        raise ForkRefused(f"this run has no action {chosen!r}", hint=f"one of {', '.join(names)}")
    if stopped is not None and names.index(chosen) > names.index(stopped):
        raise ForkRefused(
            f"step {chosen} was never reached: the run stopped at {stopped}",
            hint=f"go on from {stopped}, or from a step before it",
        )
    before = names[: names.index(chosen)]
    undone = [spec.id for spec in definition.actions if spec.id in before and is_undone(spec, latest)]
    if undone:
        raise ForkRefused(
            f"step {undone[0]} was undone, so nothing can be built on it", hint=f"go on from {undone[0]}"
        )
    again = {spec.id: spec for spec in definition.actions[len(before) :]}
    repeated = [row.step for row in rows if row.step in again and _would_repeat(again[row.step], row)]
    return Fork(chosen, tuple(latest[name] for name in before), tuple(dict.fromkeys(repeated)))


def _stopped_at(definition: TaskDefinition, latest: dict[str, StepRow]) -> str | None:
    """The first action that is not done; None where all are."""
    return next((spec.id for spec in definition.actions if not _done(spec, latest.get(spec.id))), None)


def _done(spec: StepSpec, row: StepRow | None) -> bool:
    if row is None:
        return False
    if row.state is StepState.FAILED:
        return spec.on_error == "continue" and row.due_at is None and row.error != ENDED_WITH_RUN
    return took_effect(row) or row.state is StepState.SKIPPED


def is_undone(spec: StepSpec, latest: dict[str, StepRow]) -> bool:
    """Whether taking it back has begun, whatever came of that."""
    return any(undo.id in latest and latest[undo.id].phase is Phase.UNDO for undo in spec.undo)


def _would_repeat(spec: StepSpec, row: StepRow) -> bool:
    """A key names its run, so that receivers take a repeat in another run for something new."""
    inside = effects_inside(spec)
    if inside:
        return row.state is not StepState.SKIPPED and not inside <= _REPEATED_HARMLESSLY
    if row.effect in _REPEATED_HARMLESSLY:
        return False
    cut_off = row.state is StepState.FAILED and row.error == ENDED_WITH_RUN
    return took_effect(row) or cut_off or row.state in (StepState.INTENT, StepState.AMBIGUOUS)
