"""Rows of the durable tier and of sync, read and written in the caller's transaction."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appliance.cache import sql
from appliance.cache.domain import Choice, Direction, Policy, Rule, Write
from appliance.cache.errors import Moved
from appliance.cache.ports import Cursor
from appliance.cache.stamps import Stamp
from appliance.cache.wire import document_of
from appliance.events.journal import Cursor as Position
from appliance.lib.jsontypes import JsonValue
from appliance.lib.plain import plain

START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the durable tier: the write, its place in the journal, and its version here."""

    write: Write
    position: Position
    version: int

    @property
    def mark(self) -> int:
        return self.position.seq


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both boxes last had under a key, and the write that was sent and has no answer yet."""

    base: Write | None = None
    sent: Write | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class PeerState:
    """The row of a peer that is switched on, with its rules."""

    id: int
    name: str
    pull_cursor: str
    push_cursor: str
    skew: timedelta
    """The peer's clock less this box's, as the round before heard."""
    rules: tuple[Rule, ...]

    @property
    def prefixes(self) -> list[str]:
        return [rule.prefix for rule in self.rules]


def text_of(write: Write | None) -> str | None:
    return json.dumps(document_of(write)) if write else None


def write_of(text: str | None) -> Write | None:
    """A write as ``text_of`` kept it; larger ones than a peer may send are read too."""
    if text is None:
        return None
    raw = json.loads(text)
    return Write(
        raw["key"],
        raw["value"],
        raw["deleted"],
        Stamp.parse(raw["stamp"]),
        datetime.fromisoformat(raw["at"]),
        raw["by"],
    )


def patterns(prefixes: Iterable[str]) -> list[str]:
    """LIKE patterns of keys that begin so."""
    escaped = (one.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for one in prefixes)
    return [f"{one}%" for one in escaped]


def _entry_of(row: Any) -> Entry:
    key, value, deleted, wall, counter, origin, at, by, xact, seq, version = row
    stamp = Stamp(wall, counter, origin)
    read = None if deleted or value is None else json.loads(value)
    return Entry(Write(key, read, deleted, stamp, at, by), Position(xact, seq), version)


def read_entry(cursor: Cursor, key: str, *, lock: bool = False) -> Entry | None:
    """The row of a key, removed ones included; with ``lock`` nobody writes it until the transaction ends."""
    cursor.execute(sql.ENTRY_LOCKED if lock else sql.ENTRY, {"key": key})
    row = cursor.fetchone()
    return _entry_of(row) if row else None


def write_local(
    cursor: Cursor,
    key: str,
    value: JsonValue,
    by: str,
    origin: str,
    *,
    deleted: bool = False,
    expected: int | None = None,
    now_ms: int | None = None,
) -> int | None:
    """A write of this box; its version, or None where ``expected`` is not the current one."""
    said = {
        "key": key,
        "value": json.dumps(None if deleted else plain(value)),
        "by": by[:200],
        "origin": origin,
        "deleted": deleted,
        "expected": expected,
        "wall": now_ms,
    }
    cursor.execute(sql.WRITE, said)
    row = cursor.fetchone()
    return int(row[0]) if row else None


def place(cursor: Cursor, write: Write, over: Entry | None) -> None:
    """Put a write with its settled stamp over the row that was decided on. Raises Moved."""
    said = {
        "key": write.key,
        "value": json.dumps(write.value),
        "wall": write.stamp.wall,
        "counter": write.stamp.counter,
        "origin": write.stamp.origin,
        "deleted": write.deleted,
        "at": write.at,
        "by": write.by,
        "mark": over.mark if over else -1,
    }
    cursor.execute(sql.PLACE, said)
    if cursor.fetchone() is None:
        raise Moved(f"{write.key} was written meanwhile")


def touch(cursor: Cursor, key: str) -> None:
    """Let every peer look at the key again."""
    cursor.execute(sql.TOUCH, {"key": key})


def journal_after(
    cursor: Cursor, after: Position, prefixes: Iterable[str], limit: int
) -> tuple[list[Entry], Position, bool]:
    """Writes after a position in order, where to go on, and whether there is more at once.

    A position of another database (a backup was restored) begins anew: reading twice is harmless.
    """
    cursor.execute(sql.HORIZON)
    horizon = int(cursor.fetchone()[0])
    start = after if after.xact <= horizon else START
    wanted = patterns(prefixes)
    values = {"xact": start.xact, "seq": start.seq, "horizon": horizon, "patterns": wanted}
    cursor.execute(sql.JOURNAL, {**values, "limit": limit + 1})
    found = [_entry_of(row) for row in cursor.fetchall()]
    if len(found) > limit:
        return found[:limit], found[limit - 1].position, True
    # Everything older than the horizon was looked at, and nothing older can still appear.
    return found, max(start, Position(horizon, 0)), False


def behind(cursor: Cursor, after: Position, prefixes: Iterable[str], limit: int = 1000) -> int:
    """How many writes come after a position, at most ``limit``."""
    cursor.execute(sql.HORIZON)
    values = {"horizon": int(cursor.fetchone()[0]), "patterns": patterns(prefixes), "limit": limit}
    cursor.execute(sql.BEHIND, {"xact": after.xact, "seq": after.seq, **values})
    return int(cursor.fetchone()[0])


def read_peer(cursor: Cursor, peer: int) -> PeerState | None:
    """None for a peer that is not there or switched off."""
    cursor.execute(sql.PEER, {"peer": peer})
    row = cursor.fetchone()
    if row is None:
        return None
    rules = tuple(Rule(prefix, Policy(policy), tuple(paths)) for prefix, policy, paths in json.loads(row[5]))
    return PeerState(row[0], row[1], row[2], row[3], timedelta(milliseconds=row[4]), rules)


def read_agreed(cursor: Cursor, peer: int, key: str) -> Agreed:
    cursor.execute(sql.AGREED_LOCKED, {"peer": peer, "key": key})
    row = cursor.fetchone()
    return Agreed(write_of(row[0]), write_of(row[1]), row[2]) if row else Agreed()


def agree(cursor: Cursor, peer: int, key: str, agreed: Agreed) -> None:
    said = {"base": text_of(agreed.base), "sent": text_of(agreed.sent), "failures": agreed.failures}
    cursor.execute(sql.AGREE, {"peer": peer, "key": key, **said})


def unanswered(cursor: Cursor, peer: int, limit: int) -> list[Write]:
    """Writes that were sent and have no answer, oldest first."""
    cursor.execute(sql.UNANSWERED, {"peer": peer, "limit": limit})
    return [write for (text,) in cursor.fetchall() if (write := write_of(text))]


def open_conflict(cursor: Cursor, peer: int, key: str) -> int | None:
    cursor.execute(sql.OPEN_CONFLICT, {"peer": peer, "key": key})
    row = cursor.fetchone()
    return int(row[0]) if row else None


def decide_conflict(cursor: Cursor, conflict: int, choice: Choice, by: str, now: datetime) -> bool:
    """Whether it was still open."""
    cursor.execute(sql.DECIDE_CONFLICT, {"id": conflict, "choice": choice.value, "by": by, "now": now})
    return cursor.rowcount == 1


def park(
    cursor: Cursor, peer: int, key: str, direction: Direction, document: str, reason: str, now: datetime
) -> None:
    said = {"document": document.replace("\x00", "\ufffd"), "reason": reason[:500].replace("\x00", "\ufffd")}
    cursor.execute(sql.PARK, {"peer": peer, "key": key, "direction": direction.value, "now": now, **said})


def unpark(cursor: Cursor, peer: int, key: str, direction: Direction) -> None:
    cursor.execute(sql.UNPARK, {"peer": peer, "key": key, "direction": direction.value})
