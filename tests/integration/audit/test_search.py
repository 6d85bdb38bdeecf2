"""Searching: what is found, page by page, and how little is looked at for it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from appliance.audit import search as searching
from appliance.audit import sql_search
from appliance.audit.chain import AuditEntry
from appliance.audit.search import Search, search, seqs_of_run
from appliance.audit.services import append, append_here, sign_head
from appliance.lib.identity import uuid7

START = datetime(2026, 3, 1, tzinfo=UTC)


def put(*entries: AuditEntry) -> None:
    with connection.cursor() as cursor:
        append(cursor, entries)


def entry(
    kind: str, principal: str = "user:ana", subject: str = "s", minutes: float = 0, **detail: Any
) -> AuditEntry:
    return AuditEntry(kind, principal, subject, detail, START + timedelta(minutes=minutes))


def seqs(before: int | None = None, limit: int = 50, **wanted: Any) -> list[int]:
    return [one.seq for one in search(Search(**wanted), before, limit).records]


@pytest.fixture
def some() -> None:
    put(
        entry("run.started", subject="r1", task="greet"),
        entry("run.cancel", "chat:telegram/4", "r1"),
        entry("device.added", subject="device/pump-1"),
        entry("device.revoked", "user:eve", "device/pump-12"),
        entry("task.created", subject="greet"),
        entry(
            "step.intent", "trigger:greet/t", "r2/a", task="greet", arguments={"topic": "plant/Line1/100%"}
        ),
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"kind": "run."}, [2, 1]),
        ({"kind": "run.*"}, [2, 1]),
        ({"kind": "*.created"}, [5]),
        ({"kind": "device.added"}, [3]),
        ({"kind": "nothing"}, []),
        ({"kind": "nothing.*"}, []),
        ({"principal": "chat:*"}, [2]),
        ({"principal": "user:ana"}, [5, 3, 1]),
        ({"principal": "user:ana", "kind": "run.*"}, [1]),
        ({"about": "pump-1"}, [3]),
        ({"about": "device/pump-12"}, [4]),
        ({"about": "greet"}, [6, 5, 1]),
        ({"text": "line1"}, [6]),
        ({"text": "100%"}, [6]),
        ({"text": "10_%"}, []),
        ({"text": "telegram"}, [2]),
        ({"about": "'; DROP TABLE audit_record"}, []),
    ],
)
def test_what_is_asked_for_is_found_newest_first(
    some: None, wanted: dict[str, Any], expected: list[int]
) -> None:
    assert seqs(**wanted) == expected


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    put(*(entry("a" if n % 3 else "b", f"user:p{n % 7}") for n in range(100)))
    every: list[dict[str, Any]] = [
        {},
        {"kind": "a"},
        {"kind": "*"},
        {"principal": "user:*"},
        {"text": "user:p3"},
    ]
    for wanted in every:
        whole = seqs(limit=200, **wanted)
        paged: list[int] = []
        before: int | None = None
        while True:
            found = search(Search(**wanted), before, 9)
            paged += [one.seq for one in found.records]
            before = found.next
            if before is None:
                break
        assert paged == whole


@pytest.mark.parametrize("window", [7, 20, 40])
@pytest.mark.parametrize(
    "wanted", [{"text": '"n":13}'}, {"kind": "a", "text": '"n":13}'}, {"kind": "*", "text": "n"}]
)
def test_a_page_stops_after_so_many_rows_and_the_next_goes_on_there(
    window: int, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "WINDOW", window)
    put(*(entry("a" if n % 3 else "b", n=n) for n in range(100)))
    monkeypatch.setattr(searching, "WINDOW", 10_000)
    whole = seqs(limit=200, **wanted)
    monkeypatch.setattr(searching, "WINDOW", window)
    paged, before, pages = [], None, 0
    while True:
        found = search(Search(**wanted), before, 9)
        paged += [one.seq for one in found.records]
        before, pages = found.next, pages + 1
        if before is None:
            break
    assert paged == whole
    assert pages > 1


def test_times_are_found_by_the_signed_heads_also_after_a_clock_was_set_back(tmp_path: Path) -> None:
    for n, minutes in enumerate([0, 60, 120, 30, 90, 180]):  # set back by 90 minutes after the third
        put(entry("k", minutes=minutes, n=n))
        sign_head(START + timedelta(minutes=minutes + 1), tmp_path)
    since, until = START + timedelta(minutes=45), START + timedelta(minutes=100)
    assert seqs(since=since, until=until) == [5, 2]
    assert seqs(since=START + timedelta(minutes=150)) == [6]
    assert seqs(until=START + timedelta(minutes=10)) == [1]
    put(entry("k", minutes=200))  # under no head yet
    assert seqs(since=START + timedelta(minutes=190)) == [7]


def test_a_run_is_found_with_all_that_is_about_it() -> None:
    run, other = uuid7(START), uuid7(START)
    put(
        entry("run.started", subject=str(run)),
        entry("run.started", subject=str(other)),
        entry("steps.intent", "box", "reflex", steps=[{"step": f"{other}/x"}, {"step": f"{run}/set"}]),
        entry("steps.intent", "box", "reflex", steps=[{"step": f"{other}/x"}]),
        entry("step.intent", subject=f"{run}/shell"),
        entry("approval.decided", subject=str(uuid7(START)), run=str(run), minutes=3000),
        entry("run.resumed", subject=str(other), of=str(run)),
    )
    assert seqs_of_run(run) == [1, 3, 5, 6, 7]
    assert seqs(about=str(run)) == [7, 6, 5, 3, 1]
    assert seqs(about=f"run/{run}") == [7, 6, 5, 3, 1]
    assert seqs(about=str(run), kind="step.*") == [5]
    assert seqs_of_run(UUID(int=0)) == []


def rows_touched(statement: str, values: dict[str, Any]) -> int:
    """The rows that the plan read from tables, whichever indexes it took."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
        (plan,) = cursor.fetchone()
    return touched((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def touched(node: dict[str, Any]) -> int:
    own = 0
    if "Relation Name" in node:
        seen = (
            node["Actual Rows"]
            + node.get("Rows Removed by Filter", 0)
            + node.get("Rows Removed by Index Recheck", 0)
        )
        own = int(seen * node["Actual Loops"])
    return own + sum(touched(inner) for inner in node.get("Plans", ()))


def test_what_is_rare_is_found_without_reading_the_rest() -> None:
    """By rows and not by the name of an index: which one is taken is the planner's affair."""
    put(entry("rare.kind", "user:rare", "device/rare"))
    for _ in range(10):
        put(*(entry("common", f"user:{n % 50}", f"run/{n}") for n in range(2000)))
    append_here("common", "user:1", "x", {})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_record")
    values: dict[str, Any] = {
        "low": 0, "high": 2**63 - 1, "window": 20_000, "limit": 51, "since": None, "until": None, "needle": None,
        "kinds": ["rare.kind"], "principals": None,
    }  # fmt: skip
    assert rows_touched(sql_search.by("kind", 1).found, {**values, "kind_0": "rare.kind"}) < 1000
    who = {**values, "kinds": None, "principals": ["user:rare"], "principal_0": "user:rare"}
    assert rows_touched(sql_search.by("principal", 1).found, who) < 1000
    assert rows_touched(sql_search.ALL.found, {**values, "kinds": None, "window": 500}) < 2000
    # What no index knows costs its window, which is what a page of a million records may cost.
    about = {**values, "kinds": None, "window": searching.WINDOW, "subjects": ["x/y"], "said": ["%x/y%"]}
    assert rows_touched(sql_search.ABOUT.found, about) < 6000
    run = uuid7(START)
    of_run = {
        "run": str(run),
        "steps": f"{run}/%",
        "needle": f"%{run}%",
        "low": 0,
        "soon": 10,
        "kind_0": "rare.kind",
    }
    assert rows_touched(sql_search.of_run(1), of_run) < 1000
