"""``parallel``: several sequences of steps at the same time, each a shard of its own."""

from collections.abc import Mapping
from datetime import timedelta

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    StateReader,
    StepContext,
    StepResult,
)
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.actions.foreach import written
from appliance.tasks.definition.bodies import BranchesField
from appliance.tasks.definition.joining import ALL, JoinField


class ParallelParams(Params):
    branches: BranchesField
    """What is done at the same time: `{left: [...], right: [...]}`."""
    join: JoinField = ALL
    """As in `foreach`. The step's output is a mapping: what the last step of each branch gave."""


class ParallelAction(ActionKind[ParallelParams]):
    """Made of steps: the engine performs it (appliance.runs.shards), no worker is held meanwhile."""

    name = "parallel"
    params = ParallelParams
    default_timeout = timedelta(days=7).total_seconds()

    def effect(self, params: ParallelParams) -> EffectClass:
        return EffectClass.PURE

    def arguments(
        self, params: ParallelParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        return {"branches": list(params.branches), "join": written(params.join)}

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        raise NotImplementedError("performed by appliance.runs.shards.splitter")
