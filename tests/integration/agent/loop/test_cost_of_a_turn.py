"""What a turn costs beside its model: the same late in a run as early; and it is told the same after a crash."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from appliance.inference.asking import Question
from appliance.lib.jsontypes import JsonObject
from tests.integration.agent.loop.conftest import Agent
from tests.integration.agent.loop.test_crashes import deaths, through
from tests.scripted_model import Script, end, turn

__all__ = ["deaths"]

TURNS = 24
BUDGET = "{steps: 100, tokens: 1000000}"
_BOUNDARY = re.compile(r"\[data ([0-9a-f]{12}) ")


@dataclass
class Count:
    """Of the database: statements that were sent, and rows that came back."""

    statements: int = 0
    rows: int = 0


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    made = Count()
    execute, fetchall = psycopg.AsyncCursor.execute, psycopg.AsyncCursor.fetchall
    in_thread = psycopg.Cursor.execute

    async def counted(self: Any, *given: Any, **named: Any) -> Any:
        made.statements += 1
        return await execute(self, *given, **named)

    def counted_in_thread(self: Any, *given: Any, **named: Any) -> Any:
        made.statements += 1
        return in_thread(self, *given, **named)

    async def fetched(self: Any) -> Any:
        found = await fetchall(self)
        made.rows += len(found)
        return found

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
    monkeypatch.setattr(psycopg.AsyncCursor, "fetchall", fetched)
    monkeypatch.setattr(psycopg.Cursor, "execute", counted_in_thread)
    return made


def look(number: int) -> JsonObject:
    return turn(("readings.last", {"topic": f"plant/{number}"}))


async def test_a_late_turn_costs_what_an_early_one_does(agent: Agent, count: Count) -> None:
    seen: list[tuple[int, int]] = []

    def noted(line: JsonObject) -> Any:
        def answer(question: Question) -> JsonObject:
            seen.append((count.statements, count.rows))
            return line

        return answer

    agent.says(*(noted(look(number)) for number in range(TURNS)), noted(end()))
    row = await agent.go_on(await agent.ask(budget=BUDGET))
    assert row["state"] == "succeeded", row["reason"]
    costs = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(seen)]
    assert len(costs) == TURNS
    # The least of several: a worker that had to wait asks for its lease, and it may be given a new connection.
    early, late = cheapest(costs[1:7]), cheapest(costs[-6:])
    # A turn with its call: two writes, one look at the rows, and what the call itself reads.
    assert late.statements <= early.statements <= 7
    # Those of the turn before and its call, and no row of the turns before that.
    assert late.rows <= early.rows <= 4


def cheapest(costs: Sequence[tuple[int, int]]) -> Count:
    return Count(min(statements for statements, _ in costs), min(rows for _, rows in costs))


async def test_whoever_takes_over_tells_the_model_the_same(agent: Agent, deaths: dict[str, int]) -> None:
    """A worker that has been at it from the first turn on, and one that begins with nothing but the rows."""
    lines = [look(number) for number in range(8)]
    whole = agent.says(*lines, end())
    assert (await agent.go_on(await agent.ask(budget=BUDGET)))["state"] == "succeeded"
    parts = agent.says(*lines, end())
    run_id = await agent.ask(budget=BUDGET)
    deaths["worker.before_intent"] = 8
    row = await through(agent, run_id)
    assert row["state"] == "succeeded", row["reason"]
    assert not deaths, "nobody died"
    assert told(parts) == told(whole)


def told(script: Script) -> list[Any]:
    """Each question, but for the boundary that is new in each."""
    found = []
    for question in script.asked:
        text = repr(question.messages)
        for boundary in set(_BOUNDARY.findall(text)):
            text = text.replace(boundary, "…")
        found.append((text, question.schema))
    return found
