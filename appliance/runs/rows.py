"""The rows of the ledger as the executor reads and writes them."""

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from appliance.actions.contract import EffectClass
from appliance.events import StepChanged
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain, plain_text
from appliance.runs.domain import Lease, ShardOf, StepState
from appliance.runs.origins import also
from appliance.runs.plan import Next, Phase, StepRow
from appliance.safety.stop import AllStop

LEASE = timedelta(seconds=15)
KEPT_TEXT = 64 * 1024


class LeaseLost(MillwrightError):
    """Another executor holds the run now; nothing of ours may be written any more (P4)."""

    code = "runs.lease_lost"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A claimed run as the executor needs it."""

    id: UUID
    task_id: int
    version_id: int
    principal: str
    origin: str
    trigger: str
    priority: int
    inputs: JsonObject
    deadline: datetime | None
    cancel_requested: bool
    undo_requested: bool
    epoch: int
    recoveries: int
    parent_run_id: UUID | None
    forked_at_step: str
    created_at: datetime
    warning: str
    split_id: UUID | None = None
    undo_by: str = ""
    """Who asked for it to be undone: whatever is done for that is theirs."""
    stop: AllStop = field(default_factory=AllStop)
    """The all-stop as it stood when the run was claimed."""
    some_away: bool = False
    """Whether any run waited for a target that is away when this one was claimed."""

    @property
    def acts_for(self) -> str:
        """The principal of what is done now. Whoever asks for an undo answers for it, and does not approve it."""
        return self.undo_by if self.undo_requested and self.undo_by else self.principal

    @property
    def also(self) -> tuple[str, ...]:
        """The origins by which it is judged besides its own."""
        return also(self.inputs, self.undo_by if self.undo_requested else "")

    @property
    def shard_of(self) -> ShardOf | None:
        if self.split_id is None or self.parent_run_id is None:
            return None
        return ShardOf(self.split_id, self.parent_run_id)


CLAIMED = tuple(one.name for one in fields(RunRow) if one.name not in ("stop", "some_away"))
"""The columns of a claimed run."""


@dataclass(frozen=True, slots=True)
class StepWrite:
    """One step row to write, with what the event and the audit record say of it."""

    step: str
    attempt: int
    position: int
    phase: Phase
    kind: str
    effect: EffectClass
    state: StepState
    started_at: datetime
    finished_at: datetime | None = None
    input: JsonObject | None = None
    output: Any = None
    detail: JsonObject | None = None
    stderr: str = ""
    error: str = ""
    checkpoint: JsonObject | None = None
    due_at: datetime | None = None


def row_of(
    following: Next, state: StepState, effect: EffectClass, started_at: datetime, arguments: JsonObject | None
) -> StepWrite:
    """The row of an attempt, without what came of it."""
    return StepWrite(
        step=following.spec.id,
        attempt=following.attempt,
        position=following.position,
        phase=following.phase,
        kind=following.spec.type,
        effect=effect,
        state=state,
        started_at=started_at,
        input=arguments,
    )


def change_of(lease: Lease, task: str, write: StepWrite) -> StepChanged:
    """The event that tells of it."""
    return StepChanged(
        run_id=str(lease.run_id),
        step=write.step,
        state=write.state.value,
        task=task,
        kind=write.kind,
        attempt=write.attempt,
        error=write.error[:500],
    )


def as_row(write: StepWrite) -> StepRow:
    """A row as it will be read back."""
    return StepRow(
        step=write.step,
        attempt=write.attempt,
        position=write.position,
        phase=write.phase,
        effect=write.effect,
        state=write.state,
        output=write.output,
        stderr=write.stderr,
        error=write.error,
        checkpoint=write.checkpoint,
        due_at=write.due_at,
        started_at=write.started_at,
    )


def step_values(write: StepWrite) -> dict[str, Any]:
    """The columns of the row but those of its run, as they fit in: JSON is plain, texts are not too long."""
    return {
        "step": write.step,
        "attempt": write.attempt,
        "position": write.position,
        "phase": write.phase.value,
        "kind": write.kind,
        "effect": write.effect.value,
        "state": write.state.value,
        "input": plain(write.input),
        "output": plain(write.output),
        "detail": plain(write.detail),
        "stderr": plain_text(write.stderr)[:KEPT_TEXT],
        "error": plain_text(write.error)[:2000],
        "checkpoint": write.checkpoint,
        "due_at": write.due_at,
        "started_at": write.started_at,
        "finished_at": write.finished_at,
    }


def step_parameters(lease: Lease, write: StepWrite) -> dict[str, Any]:
    """The parameters of ``sql.WRITE_STEP``."""
    values = step_values(write)
    for name in ("input", "detail", "checkpoint"):
        values[name] = Jsonb(values[name]) if values[name] is not None else None
    return {**lease.parameters, **values, "output": Jsonb(values["output"])}
