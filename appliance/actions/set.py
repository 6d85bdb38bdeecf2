"""``set``: give names to values."""

from appliance.actions.contract import ActionKind, EffectClass, Params, StepContext, StepResult
from appliance.expressions.fields import TreeField
from appliance.lib.jsontypes import JsonObject


class SetParams(Params):
    value: TreeField
    """What this step's ``output`` will be: a value, a list or a mapping; every text in it is a template."""


class SetAction(ActionKind[SetParams]):
    name = "set"
    params = SetParams
    instant = True

    def effect(self, params: SetParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        return StepResult.ok(arguments["value"])
