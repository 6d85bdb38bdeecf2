"""The gate asks a person: the run waits, and only an approval of exactly this lets it go on, once."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, CONSOLE, Principal
from appliance.actions.contract import ActionRefused
from appliance.lib.config import ROOT
from appliance.runs import approvals, services
from appliance.runs.invariants import answered, asked
from appliance.runs.recorder import Recorder
from appliance.safety import allstop
from appliance.safety.allstop import Level
from appliance.safety.approvals.domain import Choice, Terms, Way
from appliance.safety.approvals.errors import ApprovalRefused
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word
from tests.integration.runs.conftest import task
from tests.integration.runs.desk import PLAIN, Desk, desk
from tests.wait import wait_for_async

__all__ = ["desk"]


async def test_the_run_waits_with_its_row_and_says_what_exactly(desk: Desk) -> None:
    run_id = await desk.asked()
    (row,) = await desk.rows()
    assert (row.state, row.run_id, row.step, row.policy) == ("open", run_id, "open", "v1")
    assert "topic: plant/valve" in row.shown
    assert "payload: 1" in row.shown
    assert desk.world.published == []
    assert await desk.steps(run_id) == [("open", 1, "waiting")]
    assert row.expires_at == row.created_at + timedelta(minutes=30)


async def test_approved_it_goes_on_and_the_intent_names_the_approval(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE, reason="fine by me")
    assert await desk.state(run_id) == "queued"
    assert (await desk.perform(run_id))["state"] == "succeeded"
    (row,) = await desk.rows()
    assert (row.state, row.decided_by, row.way) == ("used", "user:anna", "web")
    (intent,) = [one for one in await desk.audit("step.intent") if str(run_id) in one["subject"]]
    assert intent["detail"]["rule"] == f"approval.{row.pk}"
    (decided,) = [one for one in await desk.audit("approval.decided") if one["subject"] == str(row.pk)]
    assert decided["detail"]["shown"] == row.shown
    assert decided["principal"] == "user:anna"
    assert len(desk.world.published) == 1


async def test_denied_the_step_fails_at_once_with_who_and_why(desk: Desk) -> None:
    run_id = await desk.asked("    - {id: open, type: mqtt, topic: plant/valve, payload: '1', retry: 5}\n")
    await desk.say(Choice.DENY, reason="too hot")
    row = await desk.perform(run_id)
    assert (row["state"], row["reason"]) == ("failed", "step open: denied by anna: too hot")
    assert desk.world.published == []


async def test_nobody_decides_in_time(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.pass_time(run_id, timedelta(minutes=30))
    assert await desk.reconciler.wake_due() == [run_id]
    row = await desk.perform(run_id)
    assert (row["state"], row["reason"]) == ("failed", "step open: nobody decided within 30m")
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE)
    assert [row.state for row in await desk.rows()] == ["expired"]


@pytest.mark.parametrize(("who", "case"), [("olga", "role"), ("vic", "role"), ("off", "not_active")])
async def test_the_wrong_person_is_refused_without_detail_and_put_on_record(
    desk: Desk, who: str, case: str
) -> None:
    await desk.asked()
    if who == "off":
        user = await User.objects.acreate(username="off", role="engineer", is_active=False)
        word = Word(Choice.APPROVE, user.principal, Way.WEB, desk.clock.now())
        deciding = sync_to_async(approvals.decide)((await desk.rows())[0].code, word)
    else:
        deciding = desk.say(Choice.APPROVE, who)
    with pytest.raises(ApprovalRefused, match=r"^This cannot be decided by you now\.$"):
        await deciding
    (refused,) = [
        one
        for one in await desk.audit("approval.refused")
        if one["subject"] == str((await desk.rows())[0].pk)
    ]
    assert refused["detail"]["case"] == case
    assert [row.state for row in await desk.rows()] == ["open"]


async def start_as(desk: Desk, who: str) -> UUID:
    await desk.load(task(PLAIN, principal="engineer"))
    by = Principal(who, Role.ENGINEER)
    run_id = await sync_to_async(services.start_task)("t", by, desk.clock.now())
    await desk.perform(run_id)
    return run_id


@pytest.mark.parametrize("who", ["user:anna", "token:anna/ci"])
async def test_who_asked_may_not_decide_whatever_way_they_asked(desk: Desk, who: str) -> None:
    run_id = await start_as(desk, who)
    assert await desk.state(run_id) == "waiting:approval"
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE, "anna")
    await desk.say(Choice.APPROVE, "ben")
    assert (await desk.perform(run_id))["state"] == "succeeded"


async def test_who_asked_may_decide_where_the_policy_says_so(desk: Desk) -> None:
    desk.asking.terms = Terms(self_approval=True)
    await start_as(desk, "user:anna")
    assert (await desk.say(Choice.APPROVE, "anna")).state == "approved"


async def test_an_approval_of_the_wrong_name_of_the_right_role_is_refused(desk: Desk) -> None:
    desk.asking.terms = Terms(names=("ben",))
    await desk.asked()
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE, "anna")
    assert (await desk.say(Choice.APPROVE, "ben")).state == "approved"


async def test_two_of_two_must_agree_and_one_person_is_one(desk: Desk) -> None:
    desk.asking.terms = Terms(needed=2)
    run_id = await desk.asked()
    assert (await desk.say(Choice.APPROVE, "anna")).state == "open"
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE, "anna")
    assert await desk.state(run_id) == "waiting:approval"
    assert (await desk.say(Choice.APPROVE, "ben")).state == "approved"
    assert (await desk.perform(run_id))["state"] == "succeeded"


async def test_people_who_decide_at_the_same_moment(desk: Desk) -> None:
    run_id = await desk.asked()
    (row,) = await desk.rows()

    def decide_all() -> list[str]:
        barrier, won = threading.Barrier(6), []

        def person(number: int) -> None:
            by = Principal("user:anna" if number % 2 else "user:ben", Role.ENGINEER)
            choice = Choice.APPROVE if number % 2 else Choice.DENY
            try:
                barrier.wait(10)
                approvals.decide(row.code, Word(choice, by, Way.CHAT, desk.clock.now()))
                won.append(choice.value)
            except ApprovalRefused:
                pass
            finally:
                connections.close_all()

        with ThreadPoolExecutor(6) as threads:
            for future in [threads.submit(person, number) for number in range(6)]:
                future.result(60)
        return won

    won = await asyncio.to_thread(decide_all)
    assert len(won) == 1
    assert await desk.count("safety_approvaldecision") == 1
    await desk.perform(run_id)
    assert len(desk.world.published) == (1 if won == ["approve"] else 0)


async def test_a_forged_and_a_replayed_word_are_refused_and_recorded(desk: Desk) -> None:
    run_id = await desk.asked()
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE, ref="x" * 22)
    await desk.say(Choice.APPROVE)
    await desk.perform(run_id)
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE)
    cases = [one["detail"]["case"] for one in await desk.audit("approval.refused")]
    assert cases[-2:] == ["unknown", "not_open"]
    assert len(desk.world.published) == 1


async def test_the_token_of_the_buttons_decides_and_is_in_no_row(desk: Desk) -> None:
    await desk.asked()
    (item,) = await desk.sql("SELECT message FROM outbox_item")
    word, token = item["message"]["buttons"][0]["data"].split()
    (row,) = await desk.rows()
    assert word == "approve"
    assert len(token) >= 20
    assert token not in str(vars(row))
    assert (await desk.say(Choice.APPROVE, ref=token)).state == "approved"


async def test_an_approval_serves_one_attempt(desk: Desk) -> None:
    async def fails(topic: str, payload: bytes) -> None:
        raise ActionRefused("no")

    desk.world.publishing = fails
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE)
    assert (await desk.perform(run_id))["state"] == "failed"
    second = await desk.start("t")
    await desk.perform(second)
    assert await desk.state(second) == "waiting:approval"


async def test_a_worker_that_dies_after_the_intent_needs_no_second_word(desk: Desk) -> None:
    blocked = asyncio.Event()

    async def hangs(topic: str, payload: bytes) -> None:
        blocked.set()
        await asyncio.sleep(60)

    desk.world.publishing = hangs
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE)
    worker = desk.worker()
    worker.attend(run_id)
    await asyncio.wait_for(blocked.wait(), 15)
    await desk.crash(worker)
    desk.world.publishing = None
    await desk.recover(run_id)
    assert (await desk.perform(run_id))["state"] == "succeeded"
    assert [row.state for row in await desk.rows()] == ["used"]


async def test_a_wake_that_was_lost_is_found(desk: Desk) -> None:
    """The decision is committed, and whoever committed it wakes nobody: an older process, a restored row."""
    run_id = await desk.asked()
    await desk.sql("UPDATE safety_approval SET state = 'approved', decided_at = now()")
    assert [repair.subject for repair in await desk.reconciler.repair(answered)] == [str(run_id)]
    assert (await desk.perform(run_id))["state"] == "succeeded"


async def test_a_decision_while_the_run_is_not_yet_given_up_is_not_slept_through(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is faster than the worker: the row is committed, the run still running when they decide."""
    pause = Recorder.pause
    decided: list[Approval] = []

    async def late(self: Recorder, walk: Any, paused: Any) -> None:
        if not decided:
            decided.append(await desk.say(Choice.APPROVE))
        await pause(self, walk, paused)

    monkeypatch.setattr(Recorder, "pause", late)
    run_id = await desk.begin(task(PLAIN))
    row = await desk.perform(run_id)
    assert row["state"] in ("queued", "succeeded")
    await desk.perform(run_id)
    assert await desk.state(run_id) == "succeeded"


async def test_whoever_decides_dies_before_the_workers_are_told(desk: Desk) -> None:
    """Killed with the decision committed: the run is queued with it, and the worker's sweep finds it."""
    run_id = await desk.asked()
    (row,) = await desk.rows()
    parts = connection.settings_dict
    where = f"{quote(parts['USER'])}:{quote(parts['PASSWORD'] or '')}@{quote(parts['HOST'], safe='')}"
    environment = {
        **os.environ,
        "MILLWRIGHT_HOME": str(desk.home),
        "DATABASE_URL": f"postgresql://{where}:{parts['PORT'] or 5432}/{parts['NAME']}",
        "MILLWRIGHT_CRASH_AT": "approval.after_decision:1:",
    }
    command = [sys.executable, str(ROOT / "manage.py"), "approvals", "approve", row.code]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await desk.state(run_id) == "queued"
    worker = desk.worker()
    await worker._taking.look()
    await wait_for_async(lambda: worker.active == 0, 15, "the worker lets go of the run")
    assert await desk.state(run_id) == "succeeded"
    assert len(desk.world.published) == 1


async def test_a_worker_that_dies_when_it_has_asked_asks_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(place: str) -> None:
        if place == "worker.after_asking":
            raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("appliance.runs.recorder.reach", dies)
        run_id = await desk.begin(task(PLAIN))
        assert (await desk.perform(run_id))["state"] == "running"
    await desk.recover(run_id)
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    assert [row.state for row in await desk.rows()] == ["open"]
    assert await desk.count("outbox_item") == 1


async def test_nobody_who_may_approve_ends_it_at_once(desk: Desk) -> None:
    desk.asking.terms = Terms(approvers=Role.ADMIN)
    run_id = await desk.begin(task(PLAIN))
    row = await desk.perform(run_id)
    assert row["state"] == "failed"
    assert row["reason"] == "step open: needs the approval of an admin, and there is nobody who may give it"
    assert await desk.rows() == []


async def test_the_only_approver_asks_and_it_ends_at_once(desk: Desk) -> None:
    desk.asking.terms = Terms(names=("anna",))
    run_id = await start_as(desk, "user:anna")
    assert await desk.state(run_id) == "failed"


async def test_an_unattended_task_asks_nobody(desk: Desk) -> None:
    run_id = await desk.begin(task(PLAIN, unattended="true"))
    row = await desk.perform(run_id)
    assert row["reason"] == "step open: needs the approval of an engineer, and the task is unattended"
    assert await desk.sql("SELECT 1 FROM outbox_item") == []


async def test_the_all_stop_holds_what_is_approved_and_nothing_is_lost(desk: Desk) -> None:
    run_id = await desk.asked()
    await sync_to_async(allstop.engage)(Level.FREEZE, "look", CONSOLE, desk.clock.now(), desk.home)
    await desk.say(Choice.APPROVE)
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:all_stop"
    assert desk.world.published == []
    await sync_to_async(allstop.release)(
        "go on", Principal("user:ana", Role.ADMIN), desk.clock.now(), desk.home
    )
    await desk.pass_time(run_id, timedelta(seconds=5))
    await desk.reconciler.wake_due()
    assert (await desk.perform(run_id))["state"] == "succeeded"
    assert [row.state for row in await desk.rows()] == ["used"]


async def test_an_approval_is_not_good_for_ever(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE)
    desk.clock.advance(timedelta(minutes=31))
    row = await desk.perform(run_id)
    assert row["reason"] == "step open: the approval came too long ago"
    assert desk.world.published == []


async def test_nobody_is_asked_about_a_run_that_was_cancelled(desk: Desk) -> None:
    run_id = await desk.asked()
    await sync_to_async(services.cancel)(run_id, BOX)
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE)
    (repair,) = await desk.reconciler.repair(asked)
    (row,) = await desk.rows()
    assert (row.state, repair.subject, repair.done) == ("void", str(row.id), "void")
    assert await desk.count("audit_record WHERE kind = 'approval.void'") >= 1


async def settled(desk: Desk) -> list[str]:
    rows = await desk.sql("SELECT message ->> 'text' AS text FROM outbox_item WHERE message ? 'settles'")
    return [row["text"] for row in rows]


async def test_what_was_decided_stands_in_the_messages_that_asked(desk: Desk) -> None:
    await desk.asked()
    await desk.sql("UPDATE outbox_item SET state = 'delivered', attempts = 1 RETURNING 1")
    await desk.say(Choice.DENY, reason="too hot")
    (text,) = await settled(desk)
    assert "Denied by anna" in text
    assert text.endswith("UTC: too hot")
    assert "write one of" not in text


async def test_what_nobody_decided_in_time_says_so(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.sql("UPDATE outbox_item SET state = 'delivered', attempts = 1 RETURNING 1")
    await desk.pass_time(run_id, timedelta(minutes=30))
    await desk.reconciler.wake_due()
    await desk.perform(run_id)
    (text,) = await settled(desk)
    assert "nobody decided within 30m" in text


async def test_what_was_asked_of_a_run_that_ended_is_void_in_its_messages_too(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.sql("UPDATE outbox_item SET state = 'delivered', attempts = 1 RETURNING 1")
    await desk.sql("UPDATE runs_run SET state = 'cancelled' WHERE id = %s RETURNING 1", run_id)
    await desk.reconciler.check()
    (text,) = await settled(desk)
    assert "its run has ended" in text
