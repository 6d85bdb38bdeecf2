"""What we acknowledged is committed, and what is committed was meant (P1)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.bus.batches import is_transient
from appliance.bus.ports import Message
from appliance.lib.clock import SystemClock
from appliance.runs import sql
from appliance.runs.intake import LONGEST_CHAIN, Intake, NotArmed
from appliance.runs.tally import KEEP_TRACES
from appliance.tasks.arming import load_table
from tests.integration.runs.conftest import Engine

LISTEN = """
- name: hot
  vars: {limit: 80}
  triggers:
    - id: temp
      mqtt: {topic: "plant/{line}/temp", payload: json}
      when: "{{ payload.value > vars.limit }}"
  actions: [{type: set, value: 1}]
- name: every
  triggers:
    - {id: any, mqtt: {topic: "plant/#", payload: text}}
  actions: [{type: set, value: 1}]
"""


@dataclass
class Letter:
    """A delivery whose acknowledgement looks whether its run is committed at that moment."""

    message: Message
    acked: bool = False
    on_ack: Callable[[], None] = lambda: None

    def ack(self) -> None:
        self.acked = True
        self.on_ack()


def letter(topic: str, payload: Any, *, retain: bool = False, dup: bool = False) -> Letter:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Letter(Message(topic, data, 1, retain, dup, 1, SystemClock().now()))


@dataclass
class Door:
    engine: Engine
    intake: Intake
    hinted: list[UUID] = field(default_factory=list)

    async def runs(self, task: str) -> int:
        return await self.engine.count(
            f"runs_run r JOIN tasks_task t ON t.id = r.task_id AND t.name = '{task}'"
        )


async def door(engine: Engine, text: str = LISTEN) -> Door:
    await engine.load(text)
    hinted: list[UUID] = []
    made = Intake(engine.pool, engine.clock, hinted.extend)
    made.table = await sync_to_async(load_table)()
    return Door(engine, made, hinted)


async def test_a_message_becomes_an_occurrence_and_a_run_for_every_trigger_that_wants_it(
    engine: Engine,
) -> None:
    opened = await door(engine)
    await opened.intake.deliver(
        [letter("plant/a/temp", {"value": 81}), letter("plant/a/temp", {"value": 80})]
    )
    assert (await opened.runs("hot"), await opened.runs("every")) == (1, 2)
    assert await engine.count("tasks_occurrence WHERE state = 'fired' AND run_id IS NOT NULL") == 3
    assert len(opened.hinted) == 3
    (row,) = await engine.sql(
        "SELECT r.state, r.inputs, r.principal, r.occurrence_id, o.run_id = r.id AS linked FROM runs_run r "
        "JOIN tasks_occurrence o ON o.id = r.occurrence_id WHERE r.principal = 'trigger:hot/temp'"
    )
    assert (row["state"], row["linked"]) == ("queued", True)
    assert row["inputs"]["captures"] == {"line": "a"}


async def test_nothing_is_acknowledged_before_its_commit(engine: Engine) -> None:
    opened = await door(engine)
    loop, seen = asyncio.get_running_loop(), []

    def look() -> None:
        seen.append(loop.create_task(opened.runs("every")))

    one = letter("plant/a/temp", 1)
    one.on_ack = look
    await opened.intake.deliver([one])
    assert one.acked
    assert [await task for task in seen] == [1]


async def test_what_could_not_be_committed_is_not_acknowledged_and_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await door(engine)
    monkeypatch.setattr(sql, "INSERT_RUN", "INSERT INTO no_such_table VALUES (%(id)s)")
    batch = [letter("plant/a/temp", {"value": 81}), letter("plant/b", 1)]
    with pytest.raises(Exception, match="no_such_table"):
        await opened.intake.deliver(batch)
    assert not any(one.acked for one in batch)
    assert opened.hinted == []
    assert await engine.count("tasks_occurrence") == await engine.count("bus_topicvalue") == 0


async def test_a_database_that_is_away_leaves_everything_with_the_broker(engine: Engine) -> None:
    opened = await door(engine)
    one = letter("plant/a/temp", 1)
    await engine.pool.close()
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it must come out
        await opened.intake.deliver([one])
    assert not one.acked


async def test_a_message_that_the_broker_sends_again_is_marked_as_such(engine: Engine) -> None:
    opened = await door(engine)
    await opened.intake.deliver([letter("plant/b", 1), letter("plant/b", 1, dup=True)])
    rows = await engine.sql("SELECT inputs -> 'event' ->> 'redelivered' AS again FROM runs_run ORDER BY id")
    assert [row["again"] for row in rows] == [None, "true"]


async def test_what_comes_before_the_triggers_are_loaded_stays_with_the_broker(engine: Engine) -> None:
    intake = Intake(engine.pool, engine.clock, lambda run_ids: None)
    one = letter("plant/a/temp", {"value": 99})
    with pytest.raises(NotArmed):
        await intake.deliver([one])
    assert not one.acked
    assert is_transient(NotArmed("not yet"))


async def test_a_retained_message_is_remembered_and_triggers_nothing(engine: Engine) -> None:
    opened = await door(engine)
    one = letter("plant/a/temp", {"value": 99}, retain=True)
    await opened.intake.deliver([one])
    assert one.acked
    assert await engine.count("runs_run") == 0
    assert await engine.count("bus_topicvalue WHERE topic = 'plant/a/temp'") == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\xff" * 70_000,
        b"[" * 50_000,
        b"[" * 900 + b"]" * 900,
        b'{"value": 1e999}',
        b'{"value": NaN}',
        b'{"value": "' + b"x" * 200_000 + b'"}',
        b'{"value": ' + b"9" * 4000 + b"}",
        b'{"value": "\\u0000\\ud83d"}',
        b'{"a\\u0000b": {"value": 1}}',
        b"1" * 100_000,
    ],
    ids=range(12),
)
async def test_a_bad_payload_is_counted_traced_and_does_not_hold_up_its_neighbours(
    engine: Engine, payload: bytes
) -> None:
    opened = await door(engine)
    batch = [
        letter("plant/a/temp", {"value": 99}),
        letter("plant/b/temp", payload),
        letter("plant/c/temp", {"value": 99}),
    ]
    await opened.intake.deliver(batch)
    assert all(one.acked for one in batch)
    assert await opened.runs("hot") >= 2
    (row,) = await engine.sql(
        "SELECT fired + refused + failed AS n FROM tasks_tasktrigger WHERE trigger = 'temp'"
    )
    assert row["n"] == 3


async def test_a_when_that_said_no_is_counted_and_only_its_last_ones_are_kept(engine: Engine) -> None:
    opened = await door(engine)
    for start in range(0, 200, 50):
        await opened.intake.deliver(
            [letter("plant/a/temp", {"value": 0, "n": number}) for number in range(start, start + 50)]
        )
    await opened.intake.prune()
    (row,) = await engine.sql("SELECT fired, refused, failed FROM tasks_tasktrigger WHERE trigger = 'temp'")
    assert row == {"fired": 0, "refused": 200, "failed": 0}
    traces = await engine.sql("SELECT event FROM tasks_nottriggered ORDER BY id")
    assert len(traces) == KEEP_TRACES
    assert '"n": 199' in traces[-1]["event"]["payload"]


async def test_a_flood_of_refusals_never_writes_a_row_per_event(engine: Engine) -> None:
    opened = await door(engine)
    await opened.intake.deliver([letter("plant/a/temp", {"value": 0}) for _ in range(500)])
    assert await engine.count("tasks_nottriggered") <= KEEP_TRACES


ECHO = """
- name: again
  triggers: [{id: failed, event: run.failed}]
  actions: [{type: set, value: 1}]
"""


async def test_runs_that_start_each_other_by_events_are_cut(engine: Engine) -> None:
    """A task that is started by failing runs, and fails itself, must not go on for ever."""
    opened = await door(engine, ECHO)
    first = await engine.start("again")
    newest, started = first, 0
    for _ in range(LONGEST_CHAIN * 3):
        async with engine.pool.connection() as connection, connection.transaction():
            made = await opened.intake.events(
                connection, [("run.failed", {"run_id": str(newest), "task": "again", "state": "failed"})]
            )
        if not made:
            break
        (newest,) = made
        started += 1
    assert started == LONGEST_CHAIN


async def test_an_event_nobody_listens_to_costs_nothing(engine: Engine) -> None:
    opened = await door(engine, ECHO)
    async with engine.pool.connection() as connection, connection.transaction():
        assert await opened.intake.events(connection, [("run.succeeded", {"run_id": "no-uuid"})]) == []
