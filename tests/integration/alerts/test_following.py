"""What is committed to the record becomes alerts: each exactly once, soon, and a storm in few messages."""

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.db import connection

from appliance.alerts.follower import AlertFollower
from appliance.audit.chain import AuditEntry
from appliance.audit.services import append_async
from appliance.lib.clock import SystemClock
from appliance.lib.jsontypes import JsonObject
from appliance.safety.approvals.models import Approval
from tests.database import address
from tests.integration.alerts.conftest import NOW, Pool, Watch
from tests.wait import wait_for_async

ROOT = Path(__file__).resolve().parents[3]


async def test_a_record_that_fits_a_rule_is_one_alert_with_one_message(watch: Watch) -> None:
    await watch.record("token.issued")
    await watch.record("run.started")
    await watch.follower.follow()
    await watch.follower.follow()
    (text,) = await watch.texts()
    assert "a program can act under this name from now on" in text
    assert "token.issued by user:ana: thing/1" in text
    (alert,) = await watch.sql("SELECT rule, severity, count, told, due_at FROM alerts_alert")
    assert (alert["rule"], alert["severity"], alert["count"]) == ("token-made", "warning", 1)
    events = await watch.sql("SELECT data FROM events_event WHERE type = 'audit.alert'")
    assert [row["data"]["rule"] for row in events] == ["token-made"]


async def test_a_denied_approval_is_told_with_its_task_and_its_run(pool: Pool, watch: Watch) -> None:
    approval, run = uuid4(), uuid4()
    values = {
        "id": approval, "run_id": run, "code": "4GJ7NV", "token_digest": "d", "purpose": "gate", "step": "call-1-1",
        "attempt": 1, "task": "hot_pump", "kind": "mqtt", "digest": "", "requested_by": "user:olga",
        "requester": "olga", "approvers": "engineer", "needed": 1, "shown": "topic: a", "state": "denied",
        "created_at": NOW, "expires_at": NOW,
    }  # fmt: skip
    await sync_to_async(_asked)(values)
    async with watch.pool.connection() as db:
        detail: JsonObject = {"state": "denied", "choice": "deny"}
        entry = AuditEntry("approval.decided", "user:ming", str(approval), detail, NOW)
        await append_async(db, [entry])
    await watch.follower.follow()
    (text,) = await watch.texts()
    assert "hot_pump, by ming, 2026" in text
    assert text.endswith(f"/runs/{run}/")
    assert str(approval) not in text
    assert "record" not in text


def _asked(values: dict[str, Any]) -> None:
    """In a thread of its own, whose connection would keep the database from going."""
    Approval.objects.create(**values)
    connection.close()


async def test_what_was_on_record_before_anybody_watched_makes_no_alert(pool: Pool, watch: Watch) -> None:
    await watch.sql("DELETE FROM alerts_position")
    await watch.record("token.issued")
    await watch.follower.follow()
    assert await watch.texts() == []


async def test_a_record_that_is_rolled_back_makes_no_alert(watch: Watch) -> None:
    async with watch.pool.connection() as db, db.transaction(force_rollback=True):
        await db.execute(
            "SELECT audit_append(ARRAY[now()], ARRAY['token.issued'], ARRAY['a'], ARRAY['b'],"
            " ARRAY['{\"detail\":{}}'])"
        )
        await watch.follower.follow()
    await watch.follower.follow()
    assert await watch.texts() == []


async def test_a_storm_is_two_messages_and_then_silence(watch: Watch) -> None:
    """The first at once; what follows within the quiet time goes into one."""
    for _ in range(20):
        await watch.record("token.issued", times=250)
        watch.later(seconds=10)
        await watch.follower.follow()
    assert len(await watch.texts()) == 1
    watch.later(minutes=5)
    await watch.follower.follow()
    texts = await watch.texts()
    assert len(texts) == 2
    assert "4750 more, 5000 since" in texts[1]
    watch.later(minutes=5)
    await watch.follower.follow()
    await watch.follower.follow()
    assert len(await watch.texts()) == 2
    assert (await watch.sql("SELECT due_at, count FROM alerts_alert")) == [{"due_at": None, "count": 5000}]
    await watch.record("token.issued")
    await watch.follower.follow()
    assert len(await watch.texts()) == 3


async def test_what_is_counted_for_a_rate_survives_a_restart(watch: Watch) -> None:
    for _ in range(9):
        await watch.record("step.refused", principal="trigger:fill/low")
        watch.later(seconds=5)
    await watch.record("step.refused", principal="trigger:other/low")
    await watch.follower.follow()
    assert await watch.texts() == []
    another = AlertFollower(watch.pool, watch.clock, lambda: None)
    await watch.record("step.refused", principal="trigger:fill/low")
    await another.follow()
    (text,) = await watch.texts()
    assert "trigger:fill/low" in text


async def test_the_intents_of_a_group_are_looked_at_one_by_one(watch: Watch) -> None:
    await watch.sql(
        "INSERT INTO alerts_rulesversion (number, name, text, digest, author, created_at)"
        " VALUES (1, 'n', %s, '', 'a', now())",
        "alerts: 1\nname: n\nto: telegram/4711\nrules:\n"
        "  - {id: valves, kinds: step.intent, fields: {arguments.topic: plant/*/valve}}\n",
    )
    steps = [
        {"step": f"run-{n}/a", "principal": "trigger:t/x", "arguments": {"topic": f"plant/{n}/valve"}}
        for n in range(3)
    ]
    await watch.record("steps.intent", principal="box", steps=[*steps, {"step": "x/y", "arguments": {}}])
    await watch.follower.follow()
    (row,) = await watch.sql(
        "SELECT platform, conversation, message ->> 'text' AS text FROM outbox_item WHERE platform <> 'webchat'"
    )
    assert (row["platform"], row["conversation"]) == ("telegram", "4711")
    assert "3 at once" in row["text"]
    assert "step.intent by trigger:t/x: run-2/a" in row["text"]


async def test_rules_that_are_applied_count_from_the_next_look(watch: Watch) -> None:
    text = "alerts: 1\nname: n\nrules: [{id: starts, kinds: run.started, severity: critical}]\n"
    await watch.sql(
        "INSERT INTO alerts_rulesversion (number, name, text, digest, author, created_at)"
        " VALUES (1, 'n', %s, '', 'a', now())",
        text,
    )
    await watch.record("run.started")
    await watch.record("token.issued")
    await watch.follower.follow()
    assert [row["rule"] for row in await watch.sql("SELECT rule FROM alerts_alert")] == ["starts"]
    assert (await watch.sql("SELECT priority FROM outbox_item")) == [{"priority": 20}]


async def test_what_cannot_be_put_on_record_alerts_as_well(watch: Watch) -> None:
    for _ in range(3):
        await watch.follower.outside("audit.broken", "audit", {"message": "the head does not fit"})
        watch.later(minutes=1)
    (text,) = await watch.texts()
    assert "not on record" in text


async def test_the_alert_comes_by_itself_at_the_pace_of_the_reactor(watch: Watch) -> None:
    follower = AlertFollower(watch.pool, SystemClock(), lambda: None)

    async def at_its_pace() -> None:
        while True:
            await follower.follow()
            await asyncio.sleep(follower.EVERY)

    going = asyncio.create_task(at_its_pace())
    await watch.record("policy.applied")
    await wait_for_async(watch.texts, 30, "an alert")
    going.cancel()


_FOLLOW = """
import asyncio, os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "webadmin.settings"
import django
django.setup()
from psycopg_pool import AsyncConnectionPool
from appliance.alerts.follower import AlertFollower
from appliance.lib.clock import SystemClock

async def main():
    pool = AsyncConnectionPool(sys.argv[1], min_size=1, kwargs={"autocommit": True}, open=False)
    await pool.open()
    # The browsers are poked after the commit.
    await AlertFollower(pool, SystemClock(), lambda: os.kill(os.getpid(), 9)).follow()

asyncio.run(main())
"""
_HELD_UP = """
SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%events_event%%'
"""


async def process() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _FOLLOW, address(), cwd=ROOT, stderr=subprocess.DEVNULL
    )


async def test_killed_before_its_commit_it_alerts_once_when_it_is_back(watch: Watch) -> None:
    """It dies with the message written and the event about to be: neither is there afterwards."""
    await watch.record("token.issued")
    async with watch.pool.connection() as db, db.transaction():
        await db.execute("LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE")
        dying = await process()
        await wait_for_async(lambda: watch.sql(_HELD_UP), timeout=30)
        dying.send_signal(signal.SIGKILL)
        await dying.wait()
    assert await watch.texts() == []
    await watch.follower.follow()
    await watch.follower.follow()
    assert len(await watch.texts()) == 1


async def test_killed_after_its_commit_it_alerts_no_second_time(watch: Watch) -> None:
    await watch.record("token.issued")
    assert await (await process()).wait() == -signal.SIGKILL
    assert len(await watch.texts()) == 1
    watch.clock.advance(datetime.now(UTC) - watch.clock.now())
    await watch.follower.follow()
    assert len(await watch.texts()) == 1
    assert await watch.sql("SELECT count, told, messages FROM alerts_alert") == [
        {"count": 1, "told": 1, "messages": 1}
    ]


_ESCALATES = """
alerts: 1
name: n
to: telegram/1
rules:
  - id: starts
    kinds: run.started
    quiet: 1m
    escalate: [{after: 10m, to: telegram/2}, {after: 5m, to: [telegram/3, "role:admin"]}]
"""


async def test_an_alert_that_wants_an_answer_opens_one_escalation_with_its_first_message(
    watch: Watch,
) -> None:
    await watch.sql("DELETE FROM escalations_escalation")
    await watch.sql(
        "INSERT INTO alerts_rulesversion (number, name, text, digest, author, created_at)"
        " VALUES (1, 'n', %s, '', 'a', now())",
        _ESCALATES,
    )
    await watch.record("run.started")
    await watch.follower.follow()
    await watch.record("run.started")
    await watch.follower.follow()
    watch.later(minutes=1)
    await watch.follower.follow()
    (row,) = await watch.sql("SELECT about, stages, messages, code FROM escalations_escalation")
    assert row["about"] == "alert/starts"
    assert [(one["after"], one["to"]) for one in row["stages"]] == [
        (600, ["telegram/2"]),
        (300, ["telegram/3", "role:admin"]),
        (300, []),
    ]
    asking = await watch.sql("SELECT id, about, message FROM outbox_item WHERE message ? 'asks' ORDER BY seq")
    assert [str(one["id"]) for one in asking] == row["messages"]
    assert all(one["about"] == "" and row["code"] in one["message"]["text"] for one in asking)
    later = await watch.sql("SELECT about FROM outbox_item WHERE NOT message ? 'asks'")
    assert {one["about"] for one in later} == {"alert/starts"}
    await watch.sql("DELETE FROM escalations_escalation")
