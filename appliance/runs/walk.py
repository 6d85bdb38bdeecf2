"""One life of one run in this process: what the performer, the renderer and the recorder share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from appliance.actions.contract import EffectClass
from appliance.lib.clock import Moment
from appliance.lib.jsontypes import JsonObject
from appliance.runs.ceiling import ceiling_of
from appliance.runs.domain import Lease, Waiting
from appliance.runs.plan import Progress
from appliance.runs.rows import RunRow, StepWrite
from appliance.safety.budgets.domain import Charge
from appliance.safety.gate import Action, Look
from appliance.safety.plant_state.domain import Closed
from appliance.sandbox.findings import Undeclared
from appliance.tasks.definition import StepSpec, TaskDefinition


@dataclass(slots=True)
class Walk:
    """The claimed run, its lease, and how far it has come."""

    row: RunRow
    lease: Lease
    definition: TaskDefinition
    progress: Progress
    base: JsonObject
    proven: Moment
    """When it was asked last whether the lease still holds the run, and it did."""
    recorded: int = 0
    checkpointed: set[str] = field(default_factory=set)
    """The steps of which a checkpoint is kept."""
    decided: dict[str, str] = field(default_factory=dict)
    """The rule of the gate that decided on each step that is under way."""
    pending: list[StepWrite] = field(default_factory=list)
    """Results that are kept back for the next transaction of this run: it is at most one expression away."""
    closed: Closed | None = None
    """How the task's and the step's own conditions on the plant were answered for the step that is next."""
    costs: dict[str, tuple[Charge, ...]] = field(default_factory=dict)
    """What each step under way is charged for when it is done: time, tokens."""
    look: Look | None = None
    """What the gate saw last; a decision on it holds only where it is still so when the intent is written."""
    some_away: bool = True
    """Whether any run waited for a target that is away, as far as this one was told last."""
    in_line: str = ""
    """The target in whose line the run stands."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What its steps keep for each other in this life; only time hangs on it."""
    asked_until: datetime | None = None
    """When the approval expires that its step waits for."""

    def action(
        self, spec: StepSpec, kind: str, effect: EffectClass, arguments: JsonObject, *, acts: bool
    ) -> Action:
        """What the gate decides on for this step."""
        return Action(
            kind=kind,
            effect=effect.value,
            arguments=arguments,
            principal=self.row.acts_for,
            ceiling=ceiling_of(self.definition, self.row.inputs).value,
            run_id=self.row.id,
            step_id=spec.id,
            origin=self.row.origin,
            also=self.row.also,
            task=self.definition.name,
            acts=acts,
            plant=self.closed,
            budget=self.definition.budget,
            proposed=spec.proposed.word if spec.proposed else "",
            risk=spec.proposed.risk if spec.proposed else "",
            outside=spec.proposed.outside if spec.proposed else True,
            unless_read=spec.proposed.unless_read if spec.proposed else "",
            must_read=spec.proposed is not None and spec.proposed.must_read,
        )

    def undeclared(self, step: str, attempt: int, words: Sequence[str], now: datetime) -> Undeclared | None:
        """What a step did beside what its author declared; None where there was nothing."""
        if not words:
            return None
        row = self.row
        return Undeclared(
            row.id, row.task_id, row.version_id, self.definition.name, step, attempt, words, now
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the run stops being worked on now, without being finished."""

    waiting_for: Waiting
    reason: str
    wake_at: datetime | None = None
