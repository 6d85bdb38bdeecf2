"""A kind whose steps grow: what it is made of follows from what its own steps have given so far."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TypeVar

from appliance.actions.contract import Params, SplitKind
from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonMapping
from appliance.runs.plan import StepRow
from appliance.tasks.definition import StepSpec

P = TypeVar("P", bound=Params)
ASKED = "asked"
"""Among the inputs of its one shard: the arguments of the step, computed once."""
ABOVE = "above"
"""Among a run's inputs: the runs of growing steps that led to it, the outermost first. Only the engine writes it."""


class GrowingKind(SplitKind[P]):
    """Performed as one shard; no worker is held meanwhile."""

    @abstractmethod
    def grow(self, asked: JsonMapping, latest: Mapping[str, StepRow]) -> tuple[StepSpec, ...]:
        """The steps so far, in order. Pure: the same rows give the same steps, and more rows only add at the end.

        ``asked``: the step's arguments. ``latest``: the last row of each step, by its id."""


def above(inputs: JsonMapping) -> tuple[str, ...]:
    """The runs of growing steps that led to a run with these inputs."""
    found = inputs.get(ABOVE)
    return tuple(map(str, found)) if isinstance(found, list) else ()


def growing(kind: str) -> "GrowingKind[Params] | None":
    found = registry()[kind]
    return found if isinstance(found, GrowingKind) else None
