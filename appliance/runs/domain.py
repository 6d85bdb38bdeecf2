"""The rules of runs: states, what may follow what, and what a crash makes of a step in flight."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from appliance.actions.contract import EffectClass
from appliance.lib.clock import Moment

RECOVERY_LIMIT = 5
"""Recoveries without a finished step in between before a run is parked as poisoned (P10)."""


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    POISONED = "poisoned"


FINAL = frozenset(
    {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.UNDONE, RunState.POISONED}
)


class Waiting(StrEnum):
    APPROVAL = "approval"
    TIMER = "timer"
    NETWORK = "network"
    DELIVERY = "delivery"
    PLANT_STATE = "plant_state"
    ALL_STOP = "all_stop"
    POLICY = "policy"
    BUDGET = "budget"
    RETRY = "retry"
    AMBIGUOUS = "ambiguous"
    SHARDS = "shards"
    TURN = "turn"


class StepState(StrEnum):
    INTENT = "intent"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    HANDED_OVER = "handed_over"
    WAITING = "waiting"
    AMBIGUOUS = "ambiguous"


ENDED_WITH_RUN = "ended with its run"
"""The error of a step that was under way when its run was cancelled."""


class Recovery(StrEnum):
    """What to do with a step whose intent is committed and whose result is not (P3)."""

    AGAIN = "again"
    ASK = "ask"


def recovery_of(effect: EffectClass) -> Recovery:
    return Recovery.ASK if effect is EffectClass.UNSAFE else Recovery.AGAIN


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a run: one owner, and one epoch (the fencing token).

    ``claimed`` is when the claim was sent: so long ago, at most, the database said that the run is ours.
    """

    run_id: UUID
    owner: str
    epoch: int
    claimed: Moment
    shard_of: "ShardOf | None" = None
    proof: tuple[str, int] | None = None
    """The step and attempt whose intent was committed last, where that did not wait for the disk. While its row is
    there PostgreSQL has lost nothing of ours; where it is not, the run is no longer what we think."""

    @property
    def parameters(self) -> dict[str, object]:
        """What every write under it is conditional on (``sql.HOLDS``)."""
        step, attempt = self.proof or (None, None)
        held = {"run_id": self.run_id, "epoch": self.epoch, "owner": self.owner}
        return {**held, "proof": step, "proof_attempt": attempt}


@dataclass(frozen=True, slots=True)
class ShardOf:
    """Where the end of a shard is counted: the split, and the run that was split."""

    split_id: UUID
    run_id: UUID
