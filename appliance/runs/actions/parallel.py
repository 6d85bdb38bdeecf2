"""``parallel``: several sequences of steps at the same time, each a shard of its own."""

from collections.abc import Mapping

from appliance.actions.contract import Params, SplitKind, StateReader
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.actions.foreach import written
from appliance.tasks.definition.bodies import BranchesField
from appliance.tasks.definition.joining import ALL, JoinField


class ParallelParams(Params):
    branches: BranchesField
    """What is done at the same time: `{left: [...], right: [...]}`."""
    join: JoinField = ALL
    """As in `foreach`. The step's output is a mapping: what the last step of each branch gave."""


class ParallelAction(SplitKind[ParallelParams]):
    name = "parallel"
    params = ParallelParams

    def arguments(
        self, params: ParallelParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        return {"branches": list(params.branches), "join": written(params.join)}
