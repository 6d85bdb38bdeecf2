"""``agent_query``: ask the box about itself, as far as whoever the run acts for may look."""

import asyncio
from typing import Any

from pydantic import ValidationError

from appliance.accounts.domain import Role
from appliance.accounts.present import principal_named
from appliance.actions.contract import ActionKind, EffectClass, Params, StepContext, StepResult
from appliance.agent.errors import QueryRefused
from appliance.agent.fitting import unfit
from appliance.agent.tools.contract import Asking, QueryTool
from appliance.agent.tools.registry import tools
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject, JsonValue


class AgentQueryParams(Params):
    query: str
    """The tool's name."""
    given: dict[str, Any] = {}
    """Its arguments."""


class AgentQueryAction(ActionKind[AgentQueryParams]):
    name = "agent_query"
    params = AgentQueryParams
    for_authors = False
    default_timeout = 30.0

    def effect(self, params: AgentQueryParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        try:
            return StepResult.ok(await _found(_tool(str(arguments["query"])), arguments["given"], context))
        except MillwrightError as error:
            return StepResult.failed(str(error), retryable=False)


async def _found(tool: QueryTool[Any], given: JsonValue, context: StepContext) -> JsonValue:
    """What reads files is waited for where nothing else waits: Django has one thread in this process."""
    if not tool.of_files:
        return await in_django(lambda: _answer(tool, given, _asking(context)))
    return await asyncio.to_thread(_answer, tool, given, await in_django(_asking, context))


def _tool(name: str) -> QueryTool[Any]:
    tool = tools().get(name)
    if not isinstance(tool, QueryTool):
        raise QueryRefused(f"there is no query {name!r}")
    return tool


def _asking(context: StepContext) -> Asking:
    by = principal_named(context.principal, Role(context.ceiling))
    if by is None:
        raise QueryRefused(f"{context.principal} is nobody who may look here now")
    return Asking(by, context.now)


def _answer(tool: QueryTool[Any], given: JsonValue, asking: Asking) -> JsonValue:
    try:
        arguments = tool.arguments.model_validate(given)
    except ValidationError as error:
        message, hint = unfit(error, tool.arguments, tool.takes({}) or ()) or (str(error), "")
        raise QueryRefused(message, hint=hint) from error
    answer: JsonValue = tool.answer(arguments, asking)
    return answer
