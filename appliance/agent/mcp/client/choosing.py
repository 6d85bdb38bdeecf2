"""Which tools of other servers a step names, and what they are when it begins."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import PREFIX, TOOL
from appliance.lib.glob import Glob
from appliance.lib.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Chosen:
    """``tools``: each with what its author has fixed. ``closed``: why others that were meant are left out."""

    tools: dict[str, JsonObject]
    remote: JsonObject
    closed: JsonObject


def is_remote(name: str) -> bool:
    return name.startswith(PREFIX)


def chosen(wanted: Mapping[str, JsonObject]) -> Chosen:
    """``wanted``: names and patterns as the author wrote them, with what is fixed. Reads the database."""
    found = Chosen({}, {}, {})
    known = {f"{PREFIX}{row.server_id}.{row.name}": row for row in services.known_tools()} if wanted else {}
    for pattern, fixed in wanted.items():
        names = [name for name in known if Glob(pattern).matches(name)] if "*" in pattern else [pattern]
        for name in names:
            row = known.get(name)
            why = services.why_closed(row) if row is not None else "no admin has allowed it"
            if row is None or why:
                # A name that is none is its server's text: what its author wrote stands for it.
                found.closed[name if row is None or TOOL.fullmatch(row.name) else pattern] = why
                continue
            pinned = services.pinned_tool(row.server_id, row.name)
            found.tools[name] = {**found.tools.get(name, {}), **fixed}
            found.remote[name] = pinned.to_json()
    return found
