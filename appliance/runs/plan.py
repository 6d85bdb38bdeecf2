"""What a run does next, from its definition and the rows of its steps alone: pure, no I/O.

The rows are the truth: an executor that takes a run over builds the same plan from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from appliance.actions.contract import EffectClass
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import ENDED_WITH_RUN, Recovery, StepState, recovery_of
from appliance.runs.effects import acts, acts_inside
from appliance.tasks.definition import StepSpec, TaskDefinition


class Phase(StrEnum):
    ACTIONS = "actions"
    ON_FAILURE = "on_failure"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One attempt of one step as the ledger has it."""

    step: str
    attempt: int
    position: int
    phase: Phase
    effect: EffectClass
    state: StepState
    output: JsonValue
    stderr: str
    error: str
    checkpoint: JsonObject | None
    due_at: datetime | None
    shared_from: UUID | None = None
    """The earlier run that performed it, where this run was resumed from that one."""
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """The step to perform now: which, where, which attempt, and from which checkpoint."""

    spec: StepSpec
    position: int
    phase: Phase
    attempt: int
    resumed_from: JsonObject | None = None
    not_before: datetime | None = None
    """When another attempt is due."""

    @property
    def begun(self) -> bool:
        """Whether an earlier life got further than finding its target away: its condition was decided then."""
        return self.resumed_from is not None and "away" not in self.resumed_from


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A step whose intent is committed, whose result is not, and that must not run again by itself."""

    step: str
    attempt: int


@dataclass(slots=True)
class Progress:
    """What the finished steps left behind."""

    outputs: dict[str, JsonValue] = field(default_factory=dict)
    output: JsonValue = None
    has_output: bool = False
    warnings: list[str] = field(default_factory=list)
    failure: str = ""
    failed_step: str = ""
    done: set[str] = field(default_factory=set)
    latest: dict[str, StepRow] = field(default_factory=dict)
    undo_requested: bool = False
    undo_only: frozenset[str] | None = None
    """The steps that are to be taken back, where not all are."""
    undo_failures: list[str] = field(default_factory=list)
    first_wanted: dict[str, datetime] = field(default_factory=dict)
    """When the first attempt of each step was to act."""

    @property
    def handed_over(self) -> list[str]:
        """The steps whose messages are under way, as far as this process knows."""
        return [row.step for row in self.latest.values() if row.state is StepState.HANDED_OVER]

    def takes_back(self, step: str) -> bool:
        """Whether an undo is about this step."""
        return self.undo_only is None or step in self.undo_only

    def take(self, row: StepRow) -> None:
        """Account for one row; rows come in order of position and attempt."""
        self.latest[row.step] = row
        if row.started_at is not None:
            self.first_wanted.setdefault(row.step, row.started_at)
        if row.state is StepState.SKIPPED:
            self.done.add(row.step)
        elif row.state in (StepState.SUCCEEDED, StepState.HANDED_OVER):
            self.done.add(row.step)
            self.outputs[row.step] = row.output
            self.output, self.has_output = row.output, True
            if row.stderr:
                self.warnings.append(f"{row.step}: {row.stderr.strip()}")


def attempts_allowed(spec: StepSpec) -> int:
    return spec.retry.attempts if spec.retry else 1


def sequence(definition: TaskDefinition, phase: Phase) -> Sequence[StepSpec]:
    match phase:
        case Phase.ACTIONS:
            return definition.actions
        case Phase.ON_FAILURE:
            return definition.on_failure
        case Phase.UNDO:
            return definition.undo_steps


def positions(definition: TaskDefinition) -> Iterator[tuple[int, Phase, StepSpec]]:
    index = 0
    for phase in Phase:
        for spec in sequence(definition, phase):
            yield index, phase, spec
            index += 1


def replay(definition: TaskDefinition, rows: Sequence[StepRow]) -> Progress:
    """Everything the rows say happened, including whether the run is already failing."""
    progress = Progress()
    for row in rows:
        progress.take(row)
    for _, phase, spec in positions(definition):
        last = progress.latest.get(spec.id)
        if last is None or last.state is not StepState.FAILED or last.due_at is not None:
            continue
        settle_failure(progress, spec, phase, last.error)
    return progress


def settle_failure(progress: Progress, spec: StepSpec, phase: Phase, error: str) -> None:
    """A step failed for good: stop, or go on where its author said so."""
    progress.done.add(spec.id)
    if spec.on_error == "continue":
        progress.warnings.append(f"{spec.id}: {error}")
    elif phase is Phase.ACTIONS and not progress.failure:
        progress.failure, progress.failed_step = f"step {spec.id}: {error}", spec.id
    elif phase is Phase.ON_FAILURE:
        progress.warnings.append(f"{spec.id} (on_failure): {error}")
    elif phase is Phase.UNDO:
        progress.undo_failures.append(f"{spec.id}: {error}")


def next_step(definition: TaskDefinition, progress: Progress) -> Next | Ambiguous | None:
    """The first step that is not done; None when the run has nothing left to do."""
    if undoing(definition, progress):
        return _next_undo(definition, progress)
    phase_now = Phase.ON_FAILURE if progress.failure else Phase.ACTIONS
    for position, phase, spec in positions(definition):
        if phase is not phase_now or spec.id in progress.done:
            continue
        return _attempt(spec, position, phase, progress.latest.get(spec.id))
    return None


def _attempt(spec: StepSpec, position: int, phase: Phase, row: StepRow | None) -> Next | Ambiguous:
    """How a step that is not done goes on."""
    if row is None:
        return Next(spec, position, phase, 1)
    if row.state is StepState.AMBIGUOUS:
        return Ambiguous(spec.id, row.attempt)
    if row.state is StepState.INTENT and recovery_of(row.effect) is Recovery.ASK:
        return Ambiguous(spec.id, row.attempt)
    if spec.proposed and spec.proposed.gone and _may_have_acted(row):
        return Ambiguous(spec.id, row.attempt)
    if row.state is StepState.FAILED:
        return Next(spec, position, phase, row.attempt + 1, not_before=row.due_at)
    return Next(spec, position, phase, row.attempt, row.checkpoint)


def _may_have_acted(row: StepRow) -> bool:
    """Of a step that cannot be gone on with: whether it may have done something, or waits for what it has begun."""
    if row.state is StepState.INTENT:
        return row.effect is not EffectClass.PURE
    return row.state is StepState.WAITING and bool(row.checkpoint) and "away" not in (row.checkpoint or {})


# --- undo ---------------------------------------------------------------------------------------------------


def undoing(definition: TaskDefinition, progress: Progress) -> bool:
    """Whether the run is in its third phase: a person asked, or the task says so and failed."""
    return progress.undo_requested or (definition.undo_on_failure and bool(progress.failure))


def took_effect(row: StepRow) -> bool:
    return row.state in (StepState.SUCCEEDED, StepState.HANDED_OVER)


def has_acted(spec: StepSpec, row: StepRow) -> bool:
    """Whether there is something to take back: of a step with shards also where it failed, for some may have acted."""
    if took_effect(row):
        return True
    return row.state in (StepState.FAILED, StepState.WAITING, StepState.INTENT) and acts_inside(spec)


def unclear(spec: StepSpec, row: StepRow) -> bool:
    """Whether nobody knows if the step took effect: cut off, whatever a repetition would have meant."""
    if not acts(spec):
        return False
    cut_off = row.state is StepState.FAILED and row.error == ENDED_WITH_RUN
    return cut_off or row.state in (StepState.INTENT, StepState.AMBIGUOUS)


def _next_undo(definition: TaskDefinition, progress: Progress) -> Next | Ambiguous | None:
    """The next thing to take back. A step shared with an earlier run is that run's to undo."""
    places = {spec.id: position for position, phase, spec in positions(definition) if phase is Phase.UNDO}
    for step in reversed(definition.actions):
        row = progress.latest.get(step.id)
        if row is None or row.shared_from is not None or not step.undo or not progress.takes_back(step.id):
            continue
        if unclear(step, row):
            return Ambiguous(step.id, row.attempt)
        for spec in step.undo if has_acted(step, row) else ():
            last = progress.latest.get(spec.id)
            if spec.id not in progress.done:
                return _attempt(spec, places[spec.id], Phase.UNDO, last)
            if last is not None and last.state is StepState.FAILED and spec.on_error != "continue":
                break  # what comes after it in this list counts on it; the other steps are still tried
    return None
