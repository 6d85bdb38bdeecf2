"""Two boxes in one test database, each in a schema of its own, and the ways in which they crash."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

from appliance.cache.domain import LARGEST, Policy, Write
from appliance.cache.errors import PeerAway, PeerFailed
from appliance.cache.offering import Summary
from appliance.cache.ports import Cursor
from appliance.cache.receiving import changes, receive
from appliance.cache.store import read_entry, write_local
from appliance.cache.sync import Round
from appliance.cache.wire import Answers, Changes
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.jsontypes import JsonObject, JsonValue
from tests.database import address

TABLES = (
    "cacheentry",
    "cachepeer",
    "cacherule",
    "cacheagreed",
    "cacheconflict",
    "cacheparked",
    "cachereceived",
)
__all__ = ["LARGEST", "Box", "Crash", "Faults", "LocalPeer", "Pair"]


class Crash(Exception):
    """As kill -9 leaves the database: what was committed is there, and nothing else."""


@dataclass
class Faults:
    """``left`` places are passed before the process ends; None: it lives."""

    left: int | None = None

    def reach(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash


@dataclass
class Box:
    """One box: its rows, its clock, and its sync."""

    name: str
    connection: psycopg.Connection[Any]
    clock: ManualClock
    faults: Faults = field(default_factory=Faults)

    @contextmanager
    def begin(self) -> Iterator[Cursor]:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            yield cursor
            self.faults.reach()
        self.faults.reach()

    def write(
        self, key: str, value: JsonValue, *, deleted: bool = False, expected: int | None = None
    ) -> int | None:
        with self.begin() as cursor:
            now = int(self.clock.now().timestamp() * 1000)
            return write_local(
                cursor, key, value, "user:t", self.name, deleted=deleted, expected=expected, now_ms=now
            )

    def entry(self, key: str) -> Write | None:
        with self.begin() as cursor:
            entry = read_entry(cursor, key)
        return entry.write if entry else None

    def value(self, key: str) -> JsonValue:
        entry = self.entry(key)
        return entry.value if entry and not entry.deleted else None

    def everything(self) -> dict[str, tuple[JsonValue, bool, str]]:
        rows = self.sql(
            "SELECT key, value, deleted, wall, counter, origin FROM cache_cacheentry ORDER BY key"
        )
        return {
            key: (value, deleted, f"{wall}.{counter}.{origin}")
            for key, value, deleted, wall, counter, origin in rows
        }

    def sql(self, text: str, *values: Any) -> list[Any]:
        cursor = self.connection.execute(text, values)
        return cursor.fetchall() if cursor.description else []


@dataclass
class LocalPeer:
    """The other box without a wire. ``deaf`` keys make it fail; ``cut`` loses every call."""

    box: Box
    cut: bool = False
    deaf: set[str] = field(default_factory=set)
    refused_size: int = LARGEST
    calls: int = 0
    lose_answer: bool = False
    raw: list[Any] = field(default_factory=list)
    """Documents that its journal gives beside the real ones."""

    def changes(self, after: str, prefixes: Sequence[str], limit: int) -> Changes:
        with self._call():
            page = changes(self.box.begin, self.box.name, self.box.clock.now(), after, prefixes, limit)
            found = Changes.model_validate_json(page.model_dump_json())
            found.documents[:0] = self.raw
            return found

    def push(self, messages: Sequence[JsonObject]) -> Answers:
        if any(str(message["id"]).partition("@")[0] in self.deaf for message in messages):
            raise PeerFailed("500")
        with self._call():
            read = json.loads(json.dumps(list(messages)))
            said = receive(self.box.begin, self.box.name, self.box.clock.now(), read)
            if self.lose_answer:
                raise PeerAway("the answer was lost")
            return Answers.model_validate_json(said.model_dump_json())

    @contextmanager
    def _call(self) -> Iterator[None]:
        self.calls += 1
        if self.cut:
            raise PeerAway("cut")
        try:
            yield
        except Crash as error:
            raise PeerAway("it crashed") from error


@dataclass
class Pair:
    """``near`` calls ``far``."""

    near: Box
    far: Box
    peer: LocalPeer
    peer_id: int = 0

    def rules(self, *rules: tuple[str, Policy, list[str]]) -> None:
        self.near.sql("DELETE FROM cache_cacherule")
        for prefix, policy, counters in rules:
            self.near.sql(
                "INSERT INTO cache_cacherule (peer_id, prefix, policy, counters) VALUES (%s, %s, %s, %s::jsonb)",
                self.peer_id,
                prefix,
                policy.value,
                json.dumps(counters),
            )

    def sync(self) -> Summary:
        return Round(self.near.begin, self.peer, self.peer_id, self.near.name, self.near.clock).run()

    def settle(self, rounds: int = 10) -> None:
        """Sync until nothing moves any more."""
        before = None
        for _ in range(rounds):
            self.sync()
            now = (self.near.everything(), self.far.everything())
            if now == before:
                return
            before = now
        raise AssertionError("the boxes do not come to rest")

    def pass_time(self, seconds: float = 1) -> None:
        for box in (self.near, self.far):
            box.clock.advance(timedelta(seconds=seconds))

    def conflicts(self) -> list[tuple[str, str, Any, Any, Any, str]]:
        """Key, choice, and the values mine, theirs and base, and by whom; oldest first."""
        return self.near.sql(
            "SELECT key, choice, mine->'value', theirs->'value', base->'value', decided_by"
            " FROM cache_cacheconflict ORDER BY id"
        )

    def parked(self) -> list[tuple[str, str, str]]:
        return self.near.sql("SELECT key, direction, reason FROM cache_cacheparked ORDER BY id")

    def reset(self) -> None:
        for box in (self.near, self.far):
            box.faults.left = None
            box.sql(f"TRUNCATE {', '.join(f'cache_{table}' for table in TABLES)}")
            box.clock = ManualClock(SystemClock().now())
        ((self.peer_id,),) = self.near.sql(
            "INSERT INTO cache_cachepeer (name, url, token, enabled, every, box, pull_cursor, push_cursor,"
            " last_error, failures, skew_ms) VALUES ('far', 'http://far', 'secret:far', true, 5, '', '', '', '',"
            " 0, 0) RETURNING id"
        )
        self.peer.__init__(self.far)  # type: ignore[misc]  # as a new one
        self.rules(("", Policy.NEWEST, []))


@contextmanager
def opened() -> Iterator[Pair]:
    boxes = []
    for name in ("near", "far"):
        connection = psycopg.connect(address(), autocommit=True)
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE SCHEMA {name}")
        connection.execute(f"CREATE SEQUENCE {name}.cache_journal")
        for table in TABLES:
            connection.execute(f"CREATE TABLE {name}.cache_{table} (LIKE cache_{table} INCLUDING ALL)")
        connection.execute(f"SET search_path = {name}")
        boxes.append(Box(name, connection, ManualClock(SystemClock().now())))
    pair = Pair(boxes[0], boxes[1], LocalPeer(boxes[1]))
    pair.reset()
    try:
        yield pair
    finally:
        for box in boxes:
            box.sql(f"DROP SCHEMA {box.name} CASCADE")
            box.connection.close()
