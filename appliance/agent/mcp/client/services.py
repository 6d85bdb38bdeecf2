"""Servers of tools: added, looked at, allowed tool by tool, removed. Every change is an admin's, and on record."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from datetime import datetime
from difflib import get_close_matches

from django.db import transaction
from django.db.models import Q

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.domain import Risk
from appliance.agent.errors import McpRefused
from appliance.agent.mcp.client.domain import Pinned, ServerSpec, ToolSeen, ToolState, kept_of
from appliance.agent.mcp.client.over_http import OverHttp
from appliance.agent.mcp.client.over_pipes import OverPipes, Run
from appliance.agent.mcp.client.talking import Talk
from appliance.agent.models import McpServer, McpTool
from appliance.audit.services import append_here
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.safety import allstop
from appliance.safety.read_only import refuse_changes
from appliance.safety.secrets import keep_secret, require_known, resolve
from appliance.sandbox.ports import Job, Outcome
from appliance.sandbox.process.client import ProcessSandbox

LOOKING = 20.0
"""Seconds that one look may take."""
MOST_SERVERS = 30


def list_servers() -> list[McpServer]:
    """By name, each with its tools."""
    return list(McpServer.objects.prefetch_related("tools").order_by("name"))


def find_server(name: str) -> McpServer:
    """Raises McpRefused with the nearest name."""
    row = McpServer.objects.filter(name=name).first()
    if row is None:
        names = list(McpServer.objects.values_list("name", flat=True))
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"servers here: {', '.join(names[:10]) or 'none yet'}"
        raise McpRefused(f"there is no server of tools {name[:60]!r}", hint=hint)
    return row


def spec_of(row: McpServer) -> ServerSpec:
    return ServerSpec(
        row.name, row.url, tuple(row.command), row.secret, row.env, row.private, tuple(row.reads), row.enabled
    )


def state_of(row: McpTool) -> ToolState:
    if row.gone:
        return ToolState.GONE
    if unusable(row):
        return ToolState.UNUSABLE
    if not row.risk:
        return ToolState.CLOSED
    return ToolState.OPEN if row.allowed_digest == row.digest else ToolState.CHANGED


def unusable(row: McpTool) -> str:
    """Why it cannot be allowed; empty where it can. Also one that an earlier version of the box has let in."""
    return row.unusable or kept_of(row.name, {**row.schema, "type": "object"})[1]


def save_server(spec: ServerSpec, by: Principal, now: datetime, *, secret: str = "") -> ServerSpec:
    """Add one, or change one. A ``secret`` in clear becomes the secret ``mcp-NAME``.

    At another place, by another command, with another reach or under another secret the same names may be anything:
    then every tool is forgotten, and none is called before it was looked at and allowed anew. Raises NotAllowed,
    McpRefused, ReadOnlyNow, SecretRefused, SecretMissing.
    """
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    if secret:
        spec = replace(spec, secret=f"secret:mcp-{spec.name}")
    spec = spec.checked()
    with transaction.atomic():
        known = McpServer.objects.select_for_update().filter(name=spec.name).first()
        if known is None and McpServer.objects.count() >= MOST_SERVERS:
            raise McpRefused(f"a box has at most {MOST_SERVERS} servers of tools")
        before = spec_of(known) if known is not None else None
        if secret:
            keep_secret(f"mcp-{spec.name}", secret, by, now)
        elif spec.secret and (before is None or before.reached != spec.reached):
            by.require(Ability.MANAGE_SECRETS)
            require_known(spec.secret)
        values = {**asdict(spec), "command": [*spec.command], "reads": [*spec.reads]}
        del values["name"]
        McpServer.objects.update_or_create(
            name=spec.name, defaults={**values, "updated_at": now, "updated_by": by.name}
        )
        told: JsonObject = {"place": spec.place, "enabled": spec.enabled}
        if before is not None and before.reached != spec.reached:
            told["closed"] = _forget_tools(spec.name)
        change = "mcp.server_changed" if known else "mcp.server_added"
        append_here(change, by.name, f"mcp/{spec.name}", told)
    return spec


def _forget_tools(server: str) -> list[JsonValue]:
    """Those that were allowed, which are on record with the change that closed them."""
    rows = McpTool.objects.filter(server_id=server)
    allowed: list[JsonValue] = [*rows.exclude(risk="").order_by("name").values_list("name", flat=True)]
    rows.delete()
    return allowed


@transaction.atomic
def remove_server(name: str, by: Principal) -> None:
    """With all of its tools. Raises NotAllowed, McpRefused, ReadOnlyNow."""
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    find_server(name).delete()
    append_here("mcp.server_removed", by.name, f"mcp/{name}", {})


def look(name: str, by: Principal, now: datetime, *, run: Run | None = None) -> list[McpTool]:
    """Connect to it and read what it offers; nothing is called. What has changed is closed by that.

    Raises NotAllowed, ReadOnlyNow, McpAway, McpRefused.
    """
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    row = find_server(name)
    spec = spec_of(row)
    _refuse_when_stopped(spec)
    try:
        secret = resolve(spec.secret) if spec.secret else ""
        talked = asyncio.run(talk_with(spec, run or _confined)(secret, None, LOOKING))
    except MillwrightError as error:
        McpServer.objects.filter(pk=name).update(looked_at=now, problem=str(error)[:500])
        raise
    saw(name, talked.tools, now, by.name)
    return list(McpTool.objects.filter(server_id=name).order_by("name"))


def _refuse_when_stopped(spec: ServerSpec) -> None:
    """What kills running commands starts none."""
    stop = allstop.current()
    if stop.cuts:
        raise McpRefused("the all-stop has cut the network", hint="release it first")
    if spec.command and stop.at_least(allstop.Level.KILL):
        raise McpRefused("the all-stop lets no command run", hint="release it first")


def talk_with(spec: ServerSpec, run: Run) -> Talk:
    """How this server is talked to; ``run`` carries out what is a command."""
    return OverPipes(spec, run) if spec.command else OverHttp(spec)


async def _confined(job: Job) -> Outcome:
    return await ProcessSandbox(get_config().home.spawner_socket).run(job)


@transaction.atomic
def saw(name: str, tools: Iterable[ToolSeen], now: datetime, witness: str) -> None:
    """Keep what the server offers now. A tool that was allowed and is another one is on record."""
    McpServer.objects.select_for_update().filter(pk=name).update(looked_at=now, problem="")
    before = {row.name: row for row in McpTool.objects.filter(server_id=name)}
    found = {one.name: one for one in tools}
    for one in found.values():
        row = before.get(one.name)
        if row is not None and row.risk and one.digest not in (row.digest, row.allowed_digest):
            append_here(
                "mcp.tool_changed", witness, f"mcp/{name}/{one.name}", {"was": row.digest, "is": one.digest}
            )
        kept = {
            "says": one.says,
            "schema": one.schema,
            "hints": one.hints,
            "digest": one.digest,
            "unusable": one.unusable,
            "gone": False,
            "seen_at": now,
        }
        McpTool.objects.update_or_create(server_id=name, name=one.name, defaults=kept)
    McpTool.objects.filter(server_id=name).exclude(name__in=found).update(gone=True)


@transaction.atomic
def allow_tool(server: str, tool: str, risk: Risk, digest: str, by: Principal, now: datetime) -> None:
    """Let tasks and agents call it, as it was shown: ``digest`` is of what the admin has read.

    Raises NotAllowed, McpRefused where it is another one by now, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    row = _tool(server, tool)
    if row.gone or unusable(row):
        raise McpRefused(f"{server} has no such tool now" if row.gone else unusable(row))
    if row.digest != digest:
        raise McpRefused(f"{tool} has changed since it was shown", hint="read it again, then allow it")
    row.risk, row.allowed_digest, row.allowed_by, row.allowed_at = risk.value, digest, by.name, now
    row.save()
    append_here("mcp.tool_allowed", by.name, f"mcp/{server}/{tool}", {"risk": risk.value, "digest": digest})


@transaction.atomic
def close_tool(server: str, tool: str, by: Principal) -> None:
    """Nothing calls it any more. Raises NotAllowed, McpRefused, ReadOnlyNow."""
    by.require(Ability.MANAGE_BOX)
    refuse_changes(by)
    row = _tool(server, tool)
    row.risk = row.allowed_digest = row.allowed_by = ""
    row.allowed_at = None
    row.save()
    append_here("mcp.tool_closed", by.name, f"mcp/{server}/{tool}", {})


def seen_digest(server: str, tool: str) -> str:
    """Of the tool as it was seen last; empty for one that was not."""
    found = McpTool.objects.filter(server_id=server, name=tool).first()
    return found.digest if found is not None else ""


def _tool(server: str, tool: str) -> McpTool:
    find_server(server)
    row = McpTool.objects.select_for_update().filter(server_id=server, name=tool).first()
    if row is None:
        raise McpRefused(f"{server} has no tool {tool[:60]!r}", hint="look at the server first")
    return row


def pinned_tool(server: str, tool: str) -> Pinned:
    """The tool as it may be called now. Raises McpRefused with why it may not."""
    row = McpTool.objects.select_related("server").filter(server_id=server, name=tool).first()
    why = "nobody has seen it" if row is None else why_closed(row)
    if row is None or why:
        raise McpRefused(
            f"the tool mcp.{server}.{tool} cannot be called: {why}", hint="see the page MCP servers"
        )
    return pinned_of(row)


def pinned_of(row: McpTool) -> Pinned:
    """Of one that may be called."""
    return Pinned(row.server_id, row.name, row.says, row.schema, Risk(row.risk), row.digest)


def why_closed(row: McpTool) -> str:
    """Why it cannot be called; empty where it can."""
    if not row.server.enabled:
        return "its server is switched off"
    return {
        ToolState.OPEN: "",
        ToolState.CLOSED: "no admin has allowed it",
        ToolState.CHANGED: "it is another one than the one that was allowed",
        ToolState.GONE: "its server does not offer it any more",
        ToolState.UNUSABLE: unusable(row),
    }[state_of(row)]


def known_tools(servers: Collection[str] | None = None) -> list[McpTool]:
    """All that agents could name, by server and name; None: of every server."""
    rows = McpTool.objects.select_related("server").filter(~Q(risk=""))
    if servers is not None:
        rows = rows.filter(server_id__in=servers)
    return list(rows.order_by("server_id", "name"))


def detail_of(row: McpServer) -> JsonObject:
    """As scripts and programs read it."""
    tools: list[JsonObject] = [
        {
            "tool": one.name,
            "state": state_of(one).value,
            "risk": one.risk,
            "digest": one.digest,
            "says": one.says,
            "arguments": one.schema,
            "why": why_closed(one),
        }
        for one in row.tools.all()
    ]
    spec = spec_of(row)
    return {
        "name": spec.name,
        "url": spec.url,
        "command": [*spec.command],
        "secret": spec.secret,
        "env": spec.env,
        "private": spec.private,
        "reads": [*spec.reads],
        "enabled": spec.enabled,
        "looked_at": row.looked_at.isoformat() if row.looked_at else None,
        "problem": row.problem,
        "tools": [*tools],
    }
