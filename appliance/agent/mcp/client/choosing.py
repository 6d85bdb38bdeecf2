"""Which tools of other servers a step names, and what they are when it begins: few enough to be kept with it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import PREFIX, TOOL
from appliance.agent.models import McpTool
from appliance.inference.embeddings.ngrams import NgramEncoder
from appliance.lib.glob import Glob
from appliance.lib.jsontypes import JsonObject

MOST = 40
"""Tools of other servers that one step has. A turn is given a few of these at a time."""
ROOM = 128 * 1024
"""Characters of what their servers say of them: each turn reads it anew."""
MOST_CLOSED = 10
"""Closed ones that the model is told of by name."""
_encoder = NgramEncoder()


@dataclass(frozen=True, slots=True)
class Chosen:
    """``tools``: each with what its author has fixed. ``closed``: why others that were meant are left out."""

    tools: dict[str, JsonObject]
    remote: JsonObject
    closed: JsonObject


@dataclass(frozen=True, slots=True)
class _Meant:
    """A tool that is named: by which pattern, and with what is fixed of it. ``row`` is None where there is none."""

    name: str
    pattern: str
    fixed: JsonObject
    row: McpTool | None

    @property
    def is_by_name(self) -> bool:
        return "*" not in self.pattern

    @property
    def shown(self) -> str:
        """A name that is none is its server's text: what its author wrote stands for it."""
        return self.name if self.row is None or TOOL.fullmatch(self.row.name) else self.pattern


def is_remote(name: str) -> bool:
    return name.startswith(PREFIX)


def chosen(wanted: Mapping[str, JsonObject], goal: str) -> Chosen:
    """``wanted``: names and patterns as the author wrote them, with what is fixed. Reads the database once.

    Where there are more than a step has room for, those that are written out come first, then those nearest to the
    ``goal``; what was left out is said.
    """
    meant = list(_meant(wanted))
    if len(meant) > MOST:
        meant = _nearest(meant, goal)
    found, room = Chosen({}, {}, {}), ROOM
    over, closed = Counter[str](), Counter[str]()
    for one in meant:
        if len(found.remote) >= MOST or room <= 0:
            over[one.pattern] += 1
            continue
        why = services.why_closed(one.row) if one.row is not None else "no admin has allowed it"
        if one.row is not None and not why:
            pinned = services.pinned_of(one.row).to_json()
            room -= len(json.dumps(pinned))
            found.tools[one.name] = one.fixed
            found.remote[one.name] = pinned
        elif one.is_by_name or len(found.closed) < MOST_CLOSED:
            found.closed[one.shown] = why
        else:
            closed[one.pattern] += 1
    for pattern in over | closed:
        found.closed[pattern] = "; ".join(_left_out(found, pattern, over[pattern], closed[pattern]))
    return found


def _meant(wanted: Mapping[str, JsonObject]) -> Iterator[_Meant]:
    """Each once, with all that is fixed of it by any pattern; a name that is written out stays one, if a pattern means
    it too."""
    if not wanted:
        return
    rows = {f"{PREFIX}{row.server_id}.{row.name}": row for row in services.known_tools(_servers(wanted))}
    found: dict[str, _Meant] = {}
    for pattern, fixed in wanted.items():
        glob = Glob(pattern)
        for name in [name for name in rows if glob.matches(name)] if "*" in pattern else [pattern]:
            before = found.get(name)
            by = before.pattern if before is not None and before.is_by_name else pattern
            found[name] = _Meant(name, by, {**(before.fixed if before else {}), **fixed}, rows.get(name))
    yield from found.values()


def _servers(wanted: Mapping[str, JsonObject]) -> set[str] | None:
    """Those that are named; None where a pattern stands for any."""
    named = {pattern.removeprefix(PREFIX).partition(".")[0] for pattern in wanted}
    return None if any("*" in name for name in named) else named


def _nearest(meant: list[_Meant], goal: str) -> list[_Meant]:
    wanted = _encoder.sparse(goal)

    def far(one: _Meant) -> tuple[bool, float]:
        said = _encoder.sparse(f"{one.name.replace('.', ' ')} {one.row.says if one.row else ''}")
        return not one.is_by_name, -sum(weight * wanted.get(place, 0.0) for place, weight in said.items())

    return sorted(meant, key=far)


def _left_out(found: Chosen, pattern: str, over: int, closed: int) -> Iterator[str]:
    if pattern in found.closed:
        yield str(found.closed[pattern])
    if closed:
        yield f"{closed} more of these are closed"
    if over:
        yield (
            f"{over} of these are more than a step has room for: it has the {len(found.remote)} nearest to its goal"
        )
