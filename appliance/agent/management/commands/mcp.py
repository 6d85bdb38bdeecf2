import json
import shlex
from argparse import ArgumentParser
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.domain import Risk
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.agent.models import McpServer
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import visible
from appliance.lib.secret_input import read_secret


class Command(BaseCommand):
    help = "Servers of tools (MCP) that agents and tasks may call: add, look, allow each tool, remove."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="add a server; with the name of a known one, change it")
        add.add_argument("name")
        place = add.add_mutually_exclusive_group()
        place.add_argument("--url", metavar="URL", help="where it answers, as https://tools.example/mcp")
        place.add_argument("--command", metavar="WORDS", help="a command that is run confined for each talk")
        add.add_argument(
            "--secret", metavar="secret:NAME", help="the secret that holds its token, never itself"
        )
        add.add_argument(
            "--secret-file", metavar="FILE", help="keep what FILE (- is standard input) holds as secret"
        )
        add.add_argument("--env", metavar="NAME", help="the variable in which a command gets its secret")
        add.add_argument(
            "--read", action="append", metavar="PATH", help="what a command may read; may be repeated"
        )
        add.add_argument(
            "--private", action="store_true", help="its address may lie in the plant's own network"
        )
        add.add_argument("--off", action="store_true", help="keep it, and let nothing call it")
        listing = verbs.add_parser("list", help="all of them with their tools")
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
        for one in (add, listing, look, allow, close, removal):
            one.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    name, now = options.get("name", ""), datetime.now(UTC)
    match options["verb"]:
        case "list":
            rows = [services.detail_of(row) for row in services.list_servers()]
            if options["json"]:
                return json.dumps(rows)
            return "\n".join(map(_lines, rows)) or "No server of tools. `mcp add NAME --url URL` adds one."
        case "add":
            file = options["secret_file"]
            services.save_server(_told(options), CONSOLE, now, secret=read_secret(file) if file else "")
            said = f"{name} is kept. mcp look {name} reads what it offers."
        case "look":
            services.look(name, CONSOLE, now)
            said = _lines(services.detail_of(services.find_server(name)))
        case "allow":
            digest = options["digest"] or services.seen_digest(name, options["tool"])
            services.allow_tool(name, options["tool"], Risk(options["risk"]), digest, CONSOLE, now)
            said = f"mcp.{name}.{options['tool']} may be called."
        case "close":
            services.close_tool(name, options["tool"], CONSOLE)
            said = f"mcp.{name}.{options['tool']} is closed."
        case _:
            services.remove_server(name, CONSOLE)
            return json.dumps({"name": name, "removed": True}) if options["json"] else f"{name} is forgotten."
    return json.dumps(services.detail_of(services.find_server(name))) if options["json"] else said


def _told(options: dict[str, Any]) -> ServerSpec:
    """The known row of that name, or a new one, with what the options say."""
    known = McpServer.objects.filter(name=options["name"]).first()
    spec = services.spec_of(known) if known else ServerSpec(options["name"])
    if options["url"]:
        spec = replace(spec, url=options["url"], command=(), env="", reads=())
    elif options["command"]:
        spec = replace(spec, url="", command=tuple(shlex.split(options["command"])))
    told = {
        "secret": options["secret"],
        "env": options["env"],
        "reads": tuple(options["read"]) if options["read"] is not None else None,
    }
    given = {key: value for key, value in told.items() if value is not None}
    return replace(spec, **given, private=options["private"], enabled=not options["off"])


def _lines(row: JsonObject) -> str:
    place = row["url"] or shlex.join(str(one) for one in _list(row["command"]))
    state = (
        "off" if not row["enabled"] else row["problem"] or ("seen" if row["looked_at"] else "not looked at")
    )
    head = f"{row['name']:<20} {visible(str(place)):<50} {visible(str(state))}"
    return "\n".join([head, *(f"  {_line(one)}" for one in _list(row["tools"]))])


def _line(tool: Any) -> str:
    says = visible(str(tool["says"]))[:70]
    return f"{tool['tool']:<30} {tool['state']:<9} {tool['risk'] or '-':<8} {says}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
