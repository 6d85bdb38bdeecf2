"""What an agent's end is read as: cancelled, not decided, or only said to be done; and what of it can be taken back."""

from datetime import timedelta
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, Principal
from appliance.agent.explaining.changed import changed_in
from appliance.agent.explaining.domain import AgentView, Stays, Undo
from appliance.agent.explaining.services import agents
from appliance.agent.loop.story import Fate
from appliance.agent.undoing import undo
from appliance.inference.errors import ModelRefused
from appliance.runs import services
from appliance.runs.ended import Resume, resume
from appliance.runs.services import NotNow
from appliance.runs.shards.keeper import ShardKeeper
from appliance.safety.approvals.domain import Choice
from tests.integration.agent.loop.conftest import Agent
from tests.integration.runs.test_shards import whole
from tests.scripted_model import end, turn

OFF = ("mqtt", {"topic": "pump/3", "payload": "off"})
FIXED = ("mqtt", {"payload": "off"})
LAMP = ("mqtt", {"topic": "lamp/3", "payload": "red"})
TOOLS = "[readings.last, {mqtt: {undo: {payload: back}}}]"
ANA = Principal("user:ana", Role.ENGINEER)
ASK = "policy: 1\nname: t\nlayer: box\ndefault: allow\nrules: [{id: ask, kinds: [mqtt], decide: ask}]\n"


@pytest.fixture(autouse=True)
async def _people(agent: Agent) -> None:
    await sync_to_async(User.objects.get_or_create)(username="ana", defaults={"role": "engineer"})


async def seen(run_id: UUID) -> AgentView:
    return (await sync_to_async(agents)(run_id, ANA))[-1]


def fates(view: AgentView) -> list[Fate]:
    return [call.fate for call in view.calls]


@pytest.mark.parametrize("calls", [(OFF, LAMP), (OFF,)])
async def test_what_waits_when_its_run_is_cancelled_was_denied_by_nobody(
    agent: Agent, calls: tuple[tuple[str, dict[str, str]], ...]
) -> None:
    agent.says(turn(*calls))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await sync_to_async(services.cancel)(run_id, BOX)
    await ShardKeeper(agent.pool).look()
    view = await seen(run_id)
    assert set(fates(view)) == {Fate.CANCELLED}
    assert all("nothing was done" in call.said for call in view.calls)
    assert (view.open_words, agent.world.published) == ((), [])


@pytest.mark.parametrize("calls", [(OFF, LAMP), (OFF,)])
async def test_what_nobody_decided_on_is_told_as_that_and_not_asked_again(
    agent: Agent, calls: tuple[tuple[str, dict[str, str]], ...]
) -> None:
    script = agent.says(turn(*calls), turn(OFF), end("Nobody answered."))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.pass_time(await agent.inside(), timedelta(hours=2))
    await agent.reconciler.wake_due()
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published) == ("succeeded", [])
    view = await seen(run_id)
    assert fates(view) == [*[Fate.LAPSED] * len(calls), Fate.REFUSED]
    assert "NOT DECIDED, nothing was done" in script.told(1)
    assert "DENIED" not in script.told()
    assert "nobody decided about this very call before" in script.told()
    assert "not done: mqtt (topic: pump/3, payload: off) was not decided" in row["warning"]


async def test_who_lies_about_what_was_denied_is_told_so_and_who_says_it_is_not(agent: Agent) -> None:
    for changed, behind in (
        (False, "[Not done: mqtt (topic: pump/3, payload: off) was denied.]"),
        (True, "[Not confirmed: it says that something was changed, and nothing was: mqtt (topic: pump/3, "),
    ):
        agent.says(turn(FIXED), end("It is off.", changed=changed))
        run_id = await agent.ask(tools="[{mqtt: {topic: pump/3}}]")
        await agent.go_on(run_id)
        await agent.say(Choice.DENY, "no")
        await agent.go_on(run_id)
        answer = (await seen(run_id)).answer
        assert answer is not None
        assert behind in answer.text
        assert (answer.own_words, answer.lies) == ("It is off.", changed)
        assert (await agent.row("think", run_id))["detail"]["unconfirmed"] is changed


async def test_what_its_author_fixed_is_named_and_a_proposal_is_no_change(agent: Agent) -> None:
    await agent.policy()
    propose = ("task_propose", {"task": "- name: x\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"})
    agent.says(turn(FIXED, propose), end("Done.", changed=True))
    run_id = await agent.ask(
        mode="act", trust="[mqtt, task_propose]", tools="[{mqtt: {topic: pump/3}}, task_propose]"
    )
    await agent.go_on(run_id)
    view = await seen(run_id)
    assert fates(view) == [Fate.DONE, Fate.DONE]
    assert view.calls[0].name == "mqtt (topic: pump/3, payload: off)"
    assert view.answer is not None
    said = "Changed, by the box's own record: mqtt (topic: pump/3, payload: off)."
    assert changed_in(view.answer.read_back) == said


async def test_who_had_to_answer_for_want_of_budget_is_known(agent: Agent) -> None:
    agent.says(turn(("readings.last", {"topic": "plant/"})), end("So far."), end("At once."))
    short = await agent.ask(budget="{steps: 3}")
    await agent.go_on(short)
    assert (await seen(short)).used_up == "steps"
    other = await agent.ask()
    await agent.go_on(other)
    assert (await seen(other)).used_up == ""


async def test_a_lie_in_an_answers_prose_stands_beside_the_boxs_own_word(agent: Agent) -> None:
    agent.says(end("I have switched pump 3 off.", changed=False))
    run_id = await agent.ask(mode="act")
    row = await agent.go_on(run_id)
    answer = (await seen(run_id)).answer
    assert (row["state"], row["warning"]) == ("succeeded", ""), "its own word claims no change"
    assert answer is not None
    assert answer.own_words == "I have switched pump 3 off."
    assert changed_in(answer.read_back) == "Changed: nothing, by the box's own record."


async def test_what_a_safe_step_did_is_not_offered(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS, safe_state="true")
    await agent.go_on(run_id)
    view = await seen(run_id)
    assert (view.undoable, view.calls[0].back.stays) == ((), Stays.SAFE_STATE)


async def test_what_an_earlier_run_did_is_offered_there_alone(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), ModelRefused("too long"), end("Done.", changed=True))
    old = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS)
    assert (await whole(agent, old))["state"] == "failed"
    inside = await agent.inside()
    assert (await seen(old)).undoable == ("call-1-1",)
    new = await sync_to_async(resume)(old, ANA, Resume())
    before = await seen(old)
    assert (before.may_undo, before.goes_on) == (False, new)
    with pytest.raises(NotNow, match="goes on from it"):
        await sync_to_async(undo)(inside, ANA)
    assert (await whole(agent, new))["state"] == "succeeded"
    view = await seen(new)
    (call,) = view.calls
    assert (view.undoable, call.back.stays, call.back.run_id) == ((), Stays.ELSEWHERE, inside)
    with pytest.raises(NotNow):
        await sync_to_async(undo)(view.run_id, ANA)
    assert (await seen(old)).may_undo


@pytest.mark.parametrize(("said", "becomes"), [(Choice.APPROVE, Undo.DONE), (Choice.DENY, Undo.FAILED)])
async def test_taking_back_that_waits_is_asked_at_its_call_and_says_what_came_of_it(
    agent: Agent, said: Choice, becomes: Undo
) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS)
    await agent.go_on(run_id)
    inside = await agent.inside()
    await agent.policy(ASK)
    await sync_to_async(undo)(inside, ANA)
    await agent.perform(inside)
    view = await seen(run_id)
    (word,) = view.calls[0].back.words
    assert (view.calls[0].undo, word.state, view.open_words) == (Undo.WAITS, "open", (word.id,))
    assert (view.ended, view.live, view.work_state) == (True, True, "succeeded")
    await agent.say(said, "so be it")
    await agent.perform(inside)
    view = await seen(run_id)
    assert (view.calls[0].undo, view.live, view.work_state) == (becomes, False, "succeeded")
    assert view.calls[0].back.words[-1].reason == "so be it"
