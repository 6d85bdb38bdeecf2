import shlex
from argparse import _SubParsersAction
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.domain import Risk
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec, ToolState
from appliance.agent.models import McpServer
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import visible
from appliance.lib.secret_input import read_secret
from appliance.lib.verbs import Told, VerbCommand, said

STATES = {
    ToolState.OPEN: "allowed",
    ToolState.CLOSED: "not allowed",
    ToolState.CHANGED: "changed",
    ToolState.GONE: "gone",
    ToolState.UNUSABLE: "unusable",
}
RISKS = {
    Risk.READ: "only reads",
    Risk.CHANGE: "changes something",
    Risk.DESTROY: "may destroy something",
}

FIELDS = {"secret": "secret", "env": "env", "reads": "read", "private": "private", "enabled": "enabled"}
"""Of a server, each with the option that says it."""


class Command(VerbCommand):
    help = "Servers of tools (MCP) that agents and tasks may call: add, look, allow each tool, remove."

    def verbs(self, verbs: "_SubParsersAction[Any]") -> None:
        add = verbs.add_parser("add", help="add a server; with the name of a known one, change what is said")
        add.add_argument("name")
        place = add.add_mutually_exclusive_group()
        place.add_argument("--url", metavar="URL", help="where it answers, as https://tools.example/mcp")
        place.add_argument("--command", metavar="WORDS", help="a command that is run confined for each talk")
        token = add.add_mutually_exclusive_group()
        token.add_argument(
            "--secret", metavar="secret:NAME", help="the secret that holds its token, never itself"
        )
        token.add_argument(
            "--secret-file", metavar="FILE", help="keep what FILE (- is standard input) holds as secret"
        )
        add.add_argument("--env", metavar="NAME", help="the variable in which a command gets its secret")
        add.add_argument(
            "--read", action="append", metavar="PATH", help="what a command may read; may be repeated"
        )
        _switch(add, "private", "--private", "--public", "its address may lie in the plant's own network")
        _switch(add, "enabled", "--on", "--off", "let it be called; --off keeps it, and nothing calls it")
        verbs.add_parser("list", help="all of them with their tools")
        look = verbs.add_parser("look", help="connect to it and read what it offers; nothing is called")
        allow = verbs.add_parser("allow", help="let tasks and agents call one of its tools, as it is now")
        close = verbs.add_parser("close", help="let nothing call one of its tools any more")
        removal = verbs.add_parser("remove", help="forget it and its tools")
        for one in (look, allow, close, removal):
            one.add_argument("name")
        for one in (allow, close):
            one.add_argument("tool")
        allow.add_argument("--risk", required=True, choices=[risk.value for risk in Risk])
        allow.add_argument("--digest", help="only if it is this very tool; without it, as it was seen last")

    def perform(self, options: Mapping[str, Any]) -> Told:
        name, now, tool = options.get("name", ""), datetime.now(UTC), options.get("tool", "")
        match options["verb"]:
            case "list":
                rows = [services.detail_of(row) for row in services.list_servers()]
                none = "No server of tools. `mcp add NAME --url URL` adds one."
                return Told("\n".join(map(_lines, rows)) or none, rows)
            case "add":
                return _add(options, now)
            case "look":
                services.look(name, CONSOLE, now)
                row = _row(name)
                return Told(f"{_lines(row)}\n{_next(row)}".rstrip(), row)
            case "allow":
                digest = options["digest"] or services.seen_digest(name, tool)
                services.allow_tool(name, tool, Risk(options["risk"]), digest, CONSOLE, now)
                return Told(
                    f"mcp.{name}.{tool} may be called: it {RISKS[Risk(options['risk'])]}.", _row(name)
                )
            case "close":
                services.close_tool(name, tool, CONSOLE)
                return Told(f"mcp.{name}.{tool} is closed.", _row(name))
            case _:
                services.remove_server(name, CONSOLE)
                return Told(f"{name} is forgotten, with its tools.", {"name": name, "removed": True})


def _switch(parser: Any, name: str, on: str, off: str, what: str) -> None:
    """Neither of them says nothing: then it stays as it was."""
    found = parser.add_mutually_exclusive_group()
    found.add_argument(on, dest=name, action="store_true", default=None, help=what)
    found.add_argument(off, dest=name, action="store_false", default=None)


def _add(options: Mapping[str, Any], now: datetime) -> Told:
    name = options["name"]
    before = {one["tool"] for one in _tools(name) if one["risk"]}
    services.save_server(_told(options), CONSOLE, now, secret=read_secret(options["secret_file"]))
    row = _row(name)
    text = f"{name} is kept."
    if before and not row["tools"]:
        closed = ", ".join(sorted(before))
        text += f" Another one may be talked to now: what was allowed ({closed}) is closed until it is allowed anew."
    if not row["tools"]:
        text += f" mcp look {name} reads what it offers."
    elif not row["enabled"]:
        text += " It is off: nothing calls it."
    return Told(text, row)


def _told(options: Mapping[str, Any]) -> ServerSpec:
    """The known row of that name, or a new one, with what the options say."""
    name = options["name"]
    known = McpServer.objects.filter(name=name).first()
    spec = services.spec_of(known) if known else ServerSpec(name)
    if options["url"]:
        # What was said of another address says nothing of this one.
        private = spec.private and spec.url == options["url"]
        spec = replace(spec, url=options["url"], private=private, command=(), env="", reads=())
    elif options["command"]:
        spec = replace(spec, url="", private=False, command=_words(options["command"]))
    if not (spec.url or spec.command):
        raise CommandError(f"a new server needs its address or command: mcp add {name} --url URL")
    return replace(spec, **said(options, FIELDS))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise CommandError(f"--command cannot be read as words: {error}") from error


def _row(name: str) -> JsonObject:
    return services.detail_of(services.find_server(name))


def _tools(name: str) -> list[Any]:
    known = McpServer.objects.filter(name=name).first()
    return _list(services.detail_of(known)["tools"]) if known else []


def _next(row: JsonObject) -> str:
    """What an admin does next, where nothing of it may be called."""
    tools = _list(row["tools"])
    if not tools:
        return "It offers no tools."
    if any(one["state"] == ToolState.OPEN for one in tools):
        return ""
    return f"Nothing of it may be called yet: mcp allow {row['name']} TOOL --risk read|change|destroy"


def _lines(row: JsonObject) -> str:
    place = row["url"] or shlex.join(str(one) for one in _list(row["command"]))
    head = f"{row['name']:<20} {visible(str(place)):<50} {visible(_state(row))}"
    return "\n".join([head, *(f"  {_line(one)}" for one in _list(row["tools"]))])


def _state(row: JsonObject) -> str:
    if not row["enabled"]:
        return "off"
    if row["problem"]:
        return f"away: {row['problem']}"
    looked = str(row["looked_at"] or "")
    return f"looked at {looked[:16].replace('T', ' ')} UTC" if looked else "nobody has looked at it yet"


def _line(tool: Any) -> str:
    says = visible(str(tool["says"]).partition("\n")[0])[:70]
    risk = RISKS[Risk(tool["risk"])] if tool["risk"] else "-"
    why = f" ({visible(tool['why'])})" if tool["state"] in (ToolState.CHANGED, ToolState.UNUSABLE) else ""
    return f"{visible(tool['tool']):<30} {STATES[ToolState(tool['state'])]:<11} {risk:<21} {says}{why}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
