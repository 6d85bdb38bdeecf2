"""``mcp_call``: call a tool of a server that an admin added. What it gives is text from outside."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from appliance.actions.contract import (
    ActionKind,
    Connect,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
)
from appliance.agent.domain import Risk
from appliance.agent.errors import McpRefused, McpUnclear
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import NAME, TOOL, ServerSpec
from appliance.agent.mcp.client.talking import Talked, Wanted
from appliance.expressions import Tree
from appliance.expressions.fields import TreeField
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.safety.secrets import resolve_async

SHARE = 0.95
"""Of the step's time, so that the talk ends by itself, with what is known of it."""
LONGEST_ERROR = 1_500


class McpCallParams(Params):
    server: Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
    """The server, as it is called on the page MCP servers."""
    tool: Annotated[str, StringConstraints(pattern=f"^{TOOL.pattern}$")]
    """One of its tools, which an admin has allowed."""
    arguments: TreeField = Tree({})
    """What it is given, by name."""
    reads: bool = False
    """That it changes nothing: then it is called again after a crash, and only if it was allowed as such."""
    digest: Annotated[str, Field(max_length=64)] = ""
    """Only while it is the very tool of this digest; without it, the one that is allowed when the step begins."""


class McpCallAction(ActionKind[McpCallParams]):
    name = "mcp_call"
    params = McpCallParams
    default_timeout = 60.0

    def effect(self, params: McpCallParams) -> EffectClass:
        return EffectClass.IDEMPOTENT if params.reads else EffectClass.UNSAFE

    async def pinned(self, arguments: JsonObject, connect: Connect) -> JsonObject:
        """With what the tool is allowed as, where its server is and as whom it knows the box: what the policy and
        people see."""
        return await in_django(_pinned, arguments)

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        server, tool = str(arguments["server"]), str(arguments["tool"])
        given = arguments["arguments"]
        if not isinstance(given, dict):
            return StepResult.failed("the arguments of a tool are names with values", retryable=False)
        reads = arguments["reads"] is True
        wanted = Wanted(tool, given, str(arguments["digest"]))
        try:
            spec = await in_django(_still, arguments)
            talked = await _talk(spec, wanted, context)
        except McpUnclear as error:
            if reads:
                return StepResult.failed(str(error))
            return StepResult(Status.UNKNOWN, error=str(error))
        except MillwrightError as error:
            return StepResult.failed(str(error), retryable=not error.permanent)
        if talked.answer is None:
            await in_django(services.saw, server, talked.tools, context.now, context.principal)
            return StepResult.failed(
                f"the tool mcp.{server}.{tool} is another one now than the one that was allowed: nothing was called",
                retryable=False,
            )
        if talked.answer.failed:
            said = str(talked.answer.output)[:LONGEST_ERROR] or "it did not work"
            return StepResult.failed(f"{server} says: {said}", retryable=reads)
        return StepResult.ok(talked.answer.output, server=server, tool=tool)


async def _talk(spec: ServerSpec, wanted: Wanted, context: StepContext) -> Talked:
    """Raises McpAway, McpRefused, McpUnclear, SecretMissing, SecretUnreadable."""
    secret = ""
    if spec.secret:
        async with context.connect() as connection:
            secret = await resolve_async(connection, spec.secret)

    async def confined(job: Any) -> Any:
        return await context.services.run_confined(job, None)

    return await services.talk_with(spec, confined)(secret, wanted, context.timeout * SHARE)


def _pinned(arguments: JsonObject) -> JsonObject:
    """Raises McpRefused."""
    server, tool = str(arguments["server"]), str(arguments["tool"])
    found = services.pinned_tool(server, tool)
    if arguments["digest"] not in ("", found.digest):
        raise McpRefused(f"the tool mcp.{server}.{tool} is another one than the one that this step is about")
    if arguments["reads"] is True and found.risk is not Risk.READ:
        raise McpRefused(f"the tool mcp.{server}.{tool} is allowed as one that changes something")
    spec = services.spec_of(services.find_server(server))
    whom: JsonObject = {"at": spec.place, **({"as": spec.spoken_as} if spec.secret else {})}
    return {**arguments, "digest": found.digest, "risk": found.risk.value, **whom}


def _still(arguments: JsonObject) -> ServerSpec:
    """Where the server is, if all is as it was decided on. Raises McpRefused."""
    if _pinned(arguments) != arguments:
        raise McpRefused("the server or what its tool is allowed as has changed since this was decided")
    return services.spec_of(services.find_server(str(arguments["server"])))
