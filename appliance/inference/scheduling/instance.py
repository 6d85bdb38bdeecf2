"""One model that is, or is to be, loaded. Only the keeper writes here. Seconds are monotonic."""

from dataclasses import dataclass, field

from appliance.inference.backends.contract import Footprint, Plan, Running
from appliance.inference.domain import InstanceState
from appliance.inference.scheduling.machine import Resident
from appliance.inference.scheduling.pace import Pace
from appliance.inference.scheduling.ports import Served
from appliance.inference.scheduling.standing import Standing
from appliance.lib.priority import Priority

FIRST_LOAD = 60.0
"""Seconds that a load is thought to take before one was seen."""
_RECENTLY = 300.0
LIVING = frozenset(
    {
        InstanceState.CREATING,
        InstanceState.LOADING,
        InstanceState.READY,
        InstanceState.DRAINING,
        InstanceState.STOPPING,
    }
)
"""States in which it has, or may have, memory."""


@dataclass(slots=True)
class Held:
    """A lease that somebody has. ``told`` is when its client last said that the model gets on."""

    number: str
    principal: str
    rank: int
    since: float
    told: float
    tokens: int = 0


@dataclass(eq=False, slots=True)
class Instance:
    """``epoch`` counts its lives: what is heard of an earlier one does not count."""

    served: Served
    footprint: Footprint
    load_seconds: float | None = None
    state: InstanceState = InstanceState.ABSENT
    reason: str = ""
    progress: str = ""
    epoch: int = 0
    generation: int = 0
    plan: Plan | None = None
    running: Running | None = None
    since: float = 0.0
    loaded_at: float = 0.0
    last_used: float = 0.0
    rank: int | None = None
    """Of the last that it served; None before there was one."""
    held: dict[str, Held] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    pace: Pace = field(default_factory=Pace)
    barred: str = ""
    """Why nobody may have it, by the operator's switch; empty where anybody may."""

    @property
    def name(self) -> str:
        return self.served.name

    @property
    def device(self) -> str:
        return self.served.profile.device

    @property
    def slots_free(self) -> int:
        return max(0, self.served.profile.slots - len(self.held))

    def rank_now(self, now: float) -> int:
        """How urgent what it serves is: of those under way, or of the last one for a while."""
        if self.served.candidate:
            return Priority.LOW.rank
        ranks = [held.rank for held in self.held.values()]
        if self.rank is not None and now - self.last_used < _RECENTLY:
            ranks.append(self.rank)
        return max(ranks, default=0)

    def loads_in(self, now: float) -> float:
        """Seconds until it can be thought to be ready; from the beginning where it is not being loaded."""
        whole = FIRST_LOAD if self.load_seconds is None else self.load_seconds
        if self.state in (InstanceState.CREATING, InstanceState.LOADING):
            return max(0.0, whole - (now - self.since))
        return whole

    def resident(self, now: float) -> Resident:
        loading = self.state in (InstanceState.CREATING, InstanceState.LOADING)
        leaving = self.state in (InstanceState.DRAINING, InstanceState.STOPPING)
        return Resident(
            self.name,
            self.device,
            self.footprint,
            # Whoever is going already need not be sent away again: what it frees is waited for.
            busy=bool(self.held) or loading or leaving,
            pinned=self.served.keep_alive is None,
            loaded_at=self.loaded_at,
            last_used=self.last_used,
            load_seconds=FIRST_LOAD if self.load_seconds is None else self.load_seconds,
            rank=self.rank_now(now),
            loading=loading,
            leaving=leaving,
            held=bool(self.held),
            candidate=self.served.candidate,
        )
