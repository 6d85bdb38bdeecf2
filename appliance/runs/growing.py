"""A kind whose steps grow: what it is made of follows from what its own steps have given so far."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol, TypeVar

from appliance.actions.contract import Params, SplitKind
from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.runs.plan import StepRow
from appliance.tasks.definition import StepSpec

P = TypeVar("P", bound=Params)
ASKED = "asked"
"""Among the inputs of its one shard: the arguments of the step, computed once."""
ABOVE = "above"
"""Among a run's inputs: the runs of growing steps that led to it, the outermost first. Only the engine writes it."""


class Growth(Protocol):
    """One run of such a kind, asked again after each of its steps."""

    def steps(self, latest: Mapping[str, StepRow]) -> tuple[StepSpec, ...]:
        """The steps so far, in order; ``latest`` has the last row of each, by its id, and only ever more of them.

        What it remembers of earlier calls saves time and decides nothing: a new one says the same of the same rows."""

    def resumes_at(self, latest: Mapping[str, StepRow]) -> str:
        """The step from which another run goes on with what this one came to, where it ended by itself before its end;
        empty where it only stopped, and goes on from there."""


class GrowingKind(SplitKind[P]):
    """Performed as one shard; no worker is held meanwhile."""

    @abstractmethod
    def growth(self, asked: JsonMapping) -> Growth:
        """Of the step's arguments. Pure: the same rows give the same steps, and more rows only add at the end."""


def above(inputs: JsonMapping) -> tuple[str, ...]:
    """The runs of growing steps that led to a run with these inputs."""
    found = inputs.get(ABOVE)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def begun_by_hand(inputs: JsonMapping) -> JsonObject:
    """The inputs of an earlier run for one that a person begins from it: no agent leads to that one any more, and what
    those that led to the earlier one had left to spend is not what it may spend."""
    return {name: value for name, value in inputs.items() if name != ABOVE}


def growing(kind: str) -> "GrowingKind[Params] | None":
    found = registry()[kind]
    return found if isinstance(found, GrowingKind) else None
