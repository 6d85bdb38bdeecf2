"""What people read of an agent's end: denied or cancelled, done or only said to be, taken back, failed and why."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from appliance.accounts.domain import Role
from appliance.agent.domain import Call
from appliance.lib.jsontypes import JsonObject
from appliance.runs.models import Run, Step
from appliance.safety.approvals.models import Approval
from tests.integration.webadmin.agent_rows import LOOK, STOP, Rows, begun, ended
from tests.integration.webadmin.test_agent_page import html

Browsers = Callable[[Role], Client]
LAMP = Call("mqtt", {"topic": "plant/lamp/3", "payload": "red"})
NO: JsonObject = {"approved": False, "by": "anna", "reason": "not now", "at": "2026-03-01T00:00:00+00:00"}
MISSED: JsonObject = {"tool": "mqtt", "arguments": STOP.arguments, "fate": "denied", "step": "call-1-1"}


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)


def plan(state: str, **more: Any) -> Rows:
    """An agent whose plan came to this."""
    rows = begun()
    rows.turn(1, STOP, LAMP)
    rows.step("plan-1", state, kind="agent_plan", effect="pure", **more)
    return rows


def denied() -> Rows:
    """The agent's step has the detail of its answer, as the engine gives it."""
    rows = plan("succeeded", output=NO)
    rows.asks("plan-1", "denied", decided_by="user:anna", decision_reason="not now")
    rows.turn(2, done=True, answer="Nothing was done.")
    doubts = "not done: mqtt (topic: plant/pump/3/set, payload: off) was denied"
    detail: JsonObject = {"not_done": [MISSED], "unconfirmed": False}
    rows.answer(f"Nothing was done.\n\n[N{doubts[1:]}.]", stderr=doubts, detail=detail)
    rows.state("succeeded", "succeeded")
    Step.objects.filter(run_id=rows.task_run, step="think").update(
        state="succeeded", detail=detail, stderr=doubts
    )
    Run.objects.filter(pk=rows.task_run).update(warning=f"think: {doubts}")
    return rows


def test_a_cancelled_plan_was_denied_by_nobody(browser: Browsers) -> None:
    rows = plan("failed", error="ended with its run")
    rows.asks("plan-1", "void", closed_because="its run has ended")
    rows.state("cancelled", "cancelled", reason="cancelled by user:anna")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert "denied" not in page
    assert page.count("the run was ended before anybody decided: nothing was done") == 2
    assert "It was cancelled by anna." in page


def test_a_plan_that_nobody_decided_on_says_so(browser: Browsers) -> None:
    silence = {**NO, "by": "", "reason": "nobody decided within 30m", "at": None}
    rows = plan("succeeded", output=silence)
    rows.asks("plan-1", "expired", closed_because="nobody decided within 30m")
    rows.state("failed", "failed")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert "denied" not in page
    assert page.count("nobody decided within 30m") == 1
    assert page.count('<span class="badge off">nobody decided</span>') == 4, "each call, open and folded"


def test_a_denied_plan_ends_in_no_green_success(browser: Browsers) -> None:
    rows, good = denied(), ended()
    client = browser(Role.VIEWER)
    page = html(client, f"/runs/{rows.task_run}/")
    assert page.count("ended, nothing done") == 3, "its run's state, the agent's, and its step's"
    assert page.count("[Not done:") == page.count("not done:") == 0, "the list of what was not done says it"
    assert "The answer says that something was changed" not in page
    listed = html(client, "/runs/")
    assert listed.count("ended, nothing done") == 1
    assert "ended, nothing done" not in html(client, f"/runs/{good.task_run}/")


def test_a_lie_about_what_was_denied_has_its_warning_above_it(browser: Browsers) -> None:
    rows = denied()
    doubts = "it says that something was changed, and nothing was: mqtt (topic: plant/pump/3/set) was denied"
    Step.objects.filter(run_id=rows.own, step="answer").update(
        output=f"It is off.\n\n[Not confirmed: {doubts}.]", stderr=doubts
    )
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    said = "The answer says that something was changed, and nothing was."
    assert page.index(said) < page.index("It is off.")
    assert "Not confirmed" not in page


def test_what_its_author_fixed_stands_at_the_call_and_in_what_was_done(browser: Browsers) -> None:
    call = Call("mqtt", {"payload": "off"})
    rows = begun(tools={"mqtt": {"topic": "plant/pump/9/set", "retain": True}})
    rows.turn(1, call)
    rows.step("call-1-1")
    rows.turn(2, done=True, answer="Done.", changed=True)
    did: JsonObject = {"tool": "mqtt", "arguments": call.arguments, "fate": "done", "step": "call-1-1"}
    rows.answer("Done.", detail={"did": [did]})
    rows.state("succeeded", "succeeded")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert page.count("topic: plant/pump/9/set, payload: off") == 3, (
        "the box's line, the list, and what stays"
    )
    assert page.count("<pre>plant/pump/9/set</pre>") == 1, "at the call"
    assert "retain" not in page[page.index("agent-answer") :]


def test_a_budget_of_steps_that_was_used_up_is_told(browser: Browsers) -> None:
    rows = begun(budget={"steps": 3, "tokens": 20_000, "time": 120})
    rows.turn(1, LOOK)
    rows.step("call-1-1", output="83.4", kind="agent_query", effect="pure")
    rows.turn(2, done=True, answer="So far.")
    rows.answer("So far.")
    rows.state("succeeded", "succeeded")
    client = browser(Role.VIEWER)
    assert "Its budget of 3 steps was used up" in html(client, f"/runs/{rows.task_run}/")
    assert "was used up" not in html(client, f"/runs/{ended().task_run}/")


def test_the_step_of_a_cancelled_agent_says_what_its_card_says(browser: Browsers) -> None:
    rows = begun()
    rows.turn(1, LOOK)
    rows.state("cancelled", "cancelled", reason="cancelled by user:anna")
    Step.objects.filter(run_id=rows.task_run, step="think").update(state="failed", error="ended with its run")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    step = page[page.index('id="step-think-1"') :]
    assert '<span class="badge off">cancelled</span>' in step[: step.index("</header>")]


def test_an_answer_that_could_not_be_read_says_so_in_the_terminal(db: None) -> None:
    rows = begun()
    rows.turn(1, say="", malformed="it is no JSON: Expecting value: line 1 column 1 (char 0)")
    out = StringIO()
    call_command("explain", str(rows.task_run), stdout=out)
    assert "its answer could not be read: it is no JSON\n" in out.getvalue()


def test_what_was_done_in_part_says_that(browser: Browsers) -> None:
    rows = denied()
    done = {"did": [{**MISSED, "fate": "done"}], "not_done": [MISSED]}
    Step.objects.filter(run_id=rows.task_run, step="think").update(detail=done)
    assert "ended, done in part" in html(browser(Role.VIEWER), "/runs/")


def test_what_its_rows_do_not_confirm_is_no_green_success_either(browser: Browsers) -> None:
    rows = begun()
    rows.turn(1, done=True, answer="I switched it off.", changed=True)
    doubts = "it says that something was changed, and nothing was"
    detail: JsonObject = {"unconfirmed": True}
    rows.answer(f"I switched it off.\n\n[Not confirmed: {doubts}.]", stderr=doubts, detail=detail)
    rows.state("succeeded", "succeeded")
    Step.objects.filter(run_id=rows.task_run, step="think").update(state="succeeded", detail=detail)
    Run.objects.filter(pk=rows.task_run).update(warning=f"think: {doubts}; other: slow")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert page.count("The answer says that something was changed, and nothing was.") == 1
    assert page.count("ended, not confirmed") == 3
    assert "other: slow" in page, "what else the run warns of stays"
    assert "ended, not confirmed" in html(browser(Role.VIEWER), "/runs/")


def test_an_answer_that_lies_has_the_boxs_own_word_beneath(browser: Browsers) -> None:
    rows = begun()
    rows.turn(1, done=True, answer="I have switched pump 3 off.", changed=False)
    rows.answer("I have switched pump 3 off.")
    rows.state("succeeded", "succeeded")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    nothing = "Changed: nothing, by the box&#x27;s own record."
    assert page.index("I have switched pump 3 off.") < page.index(nothing)
    true = html(browser(Role.VIEWER), f"/runs/{ended().task_run}/")
    assert nothing not in true
    assert "Changed, by the box&#x27;s own record: mqtt (topic: plant/pump/3/set, payload: off)." in true


def taken_back(state: str = "succeeded", **more: Any) -> Rows:
    rows = ended()
    rows.step("call-2-1.undo", state, phase="undo", **more)
    Run.objects.filter(pk=rows.own).update(
        state={"succeeded": "undone", "failed": "failed", "waiting": "waiting"}[state],
        waiting_for="approval" if state == "waiting" else "", undo_requested=True, undo_by="user:olga",
        inputs={**Run.objects.get(pk=rows.own).inputs, "taken_back": ["call-2-1"]},
    )  # fmt: skip
    return rows


def test_what_was_taken_back_says_so_by_whom_and_in_which_run(browser: Browsers) -> None:
    rows = taken_back()
    client = browser(Role.OPERATOR)
    page = html(client, f"/runs/{rows.task_run}/")
    answer = page[page.index("agent-answer") :]
    assert "taken back" in answer
    assert "Changed, and taken back since: mqtt (" in answer
    assert f"/runs/{rows.own}/?steps#step-call-2-1.undo-1" in page
    assert "asked for by olga" in page
    assert "Undo all of it" not in page
    explained = html(client, f"/runs/{rows.task_run}/agent/think/turns/2/")
    assert "asked for by olga" in explained
    assert f"/runs/{rows.own}/?steps#step-call-2-1.undo-1" in explained
    out = StringIO()
    call_command("explain", str(rows.task_run), stdout=out)
    assert f"taken back for user:olga by run {rows.own}, step call-2-1.undo" in out.getvalue()
    assert "Changed, and taken back since" in out.getvalue()


def test_taking_back_that_waits_has_its_question_where_it_was_asked_for(browser: Browsers) -> None:
    rows = taken_back("waiting")
    asked = rows.asks("call-2-1.undo", kind="mqtt", shown="topic: plant/pump/3/set\npayload: back")
    page = html(browser(Role.ENGINEER), f"/runs/{rows.task_run}/")
    assert "taking it back waits for a person" in page
    assert page.count(f'href="#approval-{asked.pk}"') == 2, "at the head of the run, and at the agent's end"
    assert page.count(f'id="approval-{asked.pk}"') == page.count(f"/approvals/{asked.pk}/decide/") == 1
    out = StringIO()
    call_command("explain", str(rows.task_run), stdout=out)
    assert out.getvalue().startswith("think: succeeded; taking it back waits for a person\n")
    assert "agent-stop" not in page
    assert 'data-live-every="2"' in page
    listed = html(browser(Role.ENGINEER), "/approvals/")
    assert "Take back:" in " ".join(listed.split())


def test_taking_back_that_was_denied_says_who_said_no_and_leaves_the_work_as_it_was(
    browser: Browsers,
) -> None:
    rows = taken_back("failed", error="denied by anna: better not", detail={"gate": "approval.refused"})
    rows.asks("call-2-1.undo", "denied", decided_by="user:anna", decision_reason="better not")
    Run.objects.filter(pk=rows.own).update(reason="undo failed: call-2-1.undo: denied by anna: better not")
    page = html(browser(Role.OPERATOR), f"/runs/{rows.task_run}/")
    assert "Not taken back" in page
    assert "<q>better not</q>" in page
    assert "undo failed:" not in page
    assert "taking it back failed" not in page
    assert page.count("not taken back: a person said no") == 2, "at the call, and in what was done"
    out = StringIO()
    call_command("explain", str(rows.task_run), stdout=out)
    assert "not taken back: denied by anna (better not)" in out.getvalue()
    assert page.count('<span class="badge ok">succeeded</span>') >= 2, "the run and the agent's work"
    assert "Undo all of it" in page


def test_nothing_is_offered_that_the_engine_would_refuse(browser: Browsers) -> None:
    rows, client = ended(), browser(Role.OPERATOR)
    other = ended()
    Step.objects.filter(run_id=rows.own, step="call-2-1").update(shared_from=other.own)
    page = html(client, f"/runs/{rows.task_run}/")
    assert "Undo all of it" not in page
    assert "An earlier run did it" in page
    assert f'href="/runs/{other.own}/"' in page
    goes_on = begun()
    Run.objects.filter(pk=goes_on.task_run).update(forked_from=other.task_run)
    later = html(client, f"/runs/{other.task_run}/")
    assert "Undo all of it" not in later
    assert "It can be taken back when the run has ended that goes on from it:" in later
    refused = client.post(f"/runs/{other.own}/agent/undo/", follow=True).content.decode()
    assert "goes on from it, and has not ended yet" in refused


def test_undo_this_run_says_that_its_agent_is_not_part_of_it(browser: Browsers) -> None:
    rows = ended()
    page = html(browser(Role.OPERATOR), f"/runs/{rows.task_run}/")
    undo = page[page.index('id="undo"') :]
    assert undo.index("What its agent did is not part of this") < undo.index('href="#agent-think-1"')
    assert "Undo this run" not in html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")


MISSING = "the model 'nobody' is not served on this box (manage.py models list)"


def test_a_failure_is_said_once_with_what_to_do(browser: Browsers) -> None:
    rows = begun()
    for attempt in (1, 2, 3):
        rows.step("turn-1", "failed", kind="agent_turn", effect="pure", error=MISSING, attempt=attempt)
    rows.state("failed", "failed", reason=f"step turn-1: {MISSING}")
    Run.objects.filter(pk=rows.task_run).update(reason=f"step think: {MISSING}")
    Step.objects.filter(run_id=rows.task_run, step="think").update(state="failed", error=MISSING)
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert page.count("The model “nobody” is not served on this box.") == 1
    assert page.count("manage.py models list") == 1, "folded, in the engine's words"
    failure = page[page.index("agent-failure") :]
    assert 'href="/models/"' in failure
    assert 'href="/docs/how-to/start-with-a-model.md"' in failure


def test_an_agent_that_did_not_get_on_says_so_in_a_persons_words(browser: Browsers) -> None:
    said = "it made no progress in 3 turns: there is no tool 'x' here"
    rows = begun()
    rows.turn(1, Call("x", {}, refused="there is no tool 'x' here"), ended=said)
    rows.step("answer", "failed", kind="agent_answer", effect="pure", error=said)
    rows.state("failed", "failed", reason=f"step answer: {said}")
    page = html(browser(Role.VIEWER), f"/runs/{rows.task_run}/")
    assert page.count("It did not get on: in 3 turns") == 1
    assert page.count("made no progress") == 1
    assert "Say more exactly what is wanted" in page


def test_the_question_of_a_plan_is_no_authors_question(browser: Browsers) -> None:
    rows = plan("waiting")
    rows.asks("plan-1", kind="approval", shown="An agent proposes 2 steps")
    rows.state("waiting", waiting_for="approval")
    client = browser(Role.ENGINEER)
    listed = html(client, "/approvals/")
    assert "Do what an agent proposes" in listed
    assert "Answer a question" not in listed
    page = html(client, f"/runs/{rows.task_run}/")
    assert page.index("What is asked") < page.index("/decide/")
    runs = html(client, "/runs/")
    assert "waiting: its agent" in runs
    assert "its shards" not in runs
    Approval.objects.filter(run_id=rows.own).update(state="denied", decided_by="user:anna")
    assert "Do what an agent proposes" in html(client, "/approvals/")


def test_only_what_people_are_asked_about_stands_unfolded(browser: Browsers) -> None:
    rows = begun()
    rows.turn(1, LOOK)
    rows.step("call-1-1", output="83.4", kind="agent_query", effect="pure")
    rows.turn(2, STOP)
    rows.asks("call-2-1")
    rows.step("call-2-1", "waiting")
    rows.state("waiting", waiting_for="approval")
    page = " ".join(html(browser(Role.ENGINEER), f"/runs/{rows.task_run}/").split())
    assert 'id="turn-think-1-1" >' in page
    assert 'id="turn-think-1-2" open>' in page


def test_the_command_says_it_in_words(db: None) -> None:
    rows = plan("waiting")
    rows.asks("plan-1", kind="approval")
    rows.state("waiting", waiting_for="approval")
    out = StringIO()
    call_command("explain", str(rows.task_run), stdout=out)
    assert "under_way" not in out.getvalue()
    assert "plan-1, all of it together: waits for a person" in out.getvalue()
    told = StringIO()
    call_command("explain", str(rows.task_run), "--json", stdout=told)
    assert '"fate": "under_way"' in told.getvalue()
