"""``/mcp`` in the words of the protocol, by the official SDK. Imported when the first program comes, not before."""

import json
import logging
from collections import OrderedDict
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from appliance.accounts.principal import NotAllowed
from appliance.agent.errors import McpRefused
from appliance.agent.mcp.server.desk import Answer, Desk
from appliance.agent.mcp.server.offering import Offered
from appliance.agent.mcp.server.runs import Caller
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
CALLER = "millwright.caller"
"""Where the door has put whoever calls, in the request's scope."""
KEY = "io.millwright/key"
"""In the ``_meta`` of a call: its name, by which a repeat is known for two days."""
LONGEST_KEY = 200
SCHEME = "millwright"
MOST_UNDER_WAY = 1000
CANCELLED = "notifications/cancelled"

_SAYS = (
    "Tools of an industrial box. What reads answers at once. What changes something is a task of the box: a call "
    "starts a run, which may wait for a person's approval; ask for it again with runs.show. Give a call a name in "
    f"_meta.{KEY}: sent twice, it is done once."
)


class Application:
    """Hands what programs ask to the desk, and its answers back."""

    def __init__(self, desk: Desk, version: str, *, idle: float, most_sessions: int, largest: int) -> None:
        """``idle``: seconds after which a session ends by itself. ``largest``: bytes of one request."""
        self._desk = desk
        self._under_way: OrderedDict[tuple[str, str], str] = OrderedDict()
        server: Server[Any] = Server(
            "millwright",
            version=version,
            title="Millwright",
            instructions=_SAYS,
            # None of its arguments travels in a header, so nothing has to be looked up for them.
            get_tool_input_schema=lambda name: None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )
        server.middleware.append(self._watch)
        self.manager = StreamableHTTPSessionManager(
            server, session_idle_timeout=idle, max_sessions=most_sessions, max_request_body_size=largest
        )

    async def _list_tools(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        found = await self._desk.tools(_caller(context).by)
        return types.ListToolsResult(tools=[_tool(one) for one in found], cache_scope="private", ttl_ms=0)

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        caller, place = _caller(context), _place(context, context.request_id)
        named = Caller(caller.by, caller.token_id, _key(context, place))

        async def progress(done: int, line: str) -> None:
            await context.session.report_progress(float(done), message=line)

        def begun(run: str) -> None:
            if place is not None:
                self._under_way[place] = run
                if len(self._under_way) > MOST_UNDER_WAY:
                    self._under_way.popitem(last=False)

        try:
            answer = await self._desk.call(params.name, params.arguments or {}, named, progress, begun)
        except McpRefused as error:
            if error.message.startswith("there is no tool"):
                raise MCPError(types.INVALID_PARAMS, str(error)) from error
            answer = Answer(str(error), failed=True)
        except MillwrightError as error:
            answer = Answer(str(error), failed=True)
        # Not where it is cut off: then what was begun may still be cancelled by its number.
        if place is not None:
            self._under_way.pop(place, None)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer.text)],
            structured_content=answer.structured,
            is_error=answer.failed,
        )

    async def _list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        found = await self._desk.resources(_caller(context).by)
        kept = [
            types.Resource(
                uri=f"{SCHEME}://tasks/{name}",
                name=name,
                description=says or None,
                mime_type="application/yaml",
            )
            for name, says in found
        ]
        return types.ListResourcesResult(resources=kept, cache_scope="private", ttl_ms=0)

    async def _list_templates(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        task = types.ResourceTemplate(
            uri_template=f"{SCHEME}://tasks/{{name}}", name="task", mime_type="application/yaml"
        )
        run = types.ResourceTemplate(
            uri_template=f"{SCHEME}://runs/{{run}}", name="run", mime_type="application/json"
        )
        return types.ListResourceTemplatesResult(
            resource_templates=[task, run], cache_scope="private", ttl_ms=0
        )

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        kind, _, name = uri.removeprefix(f"{SCHEME}://").partition("/")
        if not uri.startswith(f"{SCHEME}://") or kind not in ("tasks", "runs") or not name:
            raise MCPError(types.INVALID_PARAMS, f"there is no resource {uri[:200]}")
        try:
            text = await self._desk.read(kind, name, _caller(context).by)
        except MillwrightError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error
        mime = "application/yaml" if kind == "tasks" else "application/json"
        content = types.TextResourceContents(uri=uri, mime_type=mime, text=text)
        return types.ReadResourceResult(contents=[content], cache_scope="private", ttl_ms=0)

    async def _watch(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A client that cancels a call withdraws its run. One that is cut off has not asked for that."""
        if ctx.method == CANCELLED and ctx.params is not None:
            place = _place(ctx, ctx.params.get("requestId"))
            run = self._under_way.pop(place, None) if place is not None else None
            if run is not None:
                try:
                    await self._desk.cancel(run, _caller(ctx).by)
                except (MillwrightError, NotAllowed) as error:
                    log.info("run %s goes on though its call was cancelled: %s", run, error)
        return await call_next(ctx)


def _caller(context: Context) -> Caller:
    assert context.request is not None, "it came over HTTP"
    caller = context.request.scope[CALLER]
    assert isinstance(caller, Caller), "the door puts it there"
    return caller


def _place(context: Context, request_id: object) -> tuple[str, str] | None:
    """What names a call within its session; without a session its number is everybody's."""
    session = context.request.headers.get("mcp-session-id") if context.request is not None else None
    return (session, json.dumps(request_id)) if session and request_id is not None else None


def _key(context: Context, place: tuple[str, str] | None) -> str:
    """The name that the caller gave it; else its place, which a client that sends it again gives again."""
    given = (context.meta or {}).get(KEY)
    if isinstance(given, str) and 0 < len(given) <= LONGEST_KEY:
        return f"key/{given}"
    return "/".join(("session", *place)) if place is not None else ""


def _tool(one: Offered) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=one.reads,
        destructive_hint=not one.reads,
        idempotent_hint=one.reads,
        open_world_hint=False,
    )
    return types.Tool(name=one.name, description=one.says, input_schema=one.schema, annotations=hints)
