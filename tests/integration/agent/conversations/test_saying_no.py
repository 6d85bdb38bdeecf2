"""Who asked is told that it waits for a word; what people said no to is told of in what comes after."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.inference.errors import ModelRefused, ModelUnavailable
from appliance.runs import approvals
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.services import Word
from tests.integration.agent.conversations.conftest import ALLOW, Talk
from tests.scripted_model import end, turn

ACTS = """
- name: hands
  trigger: {chat: {otherwise: true, platform: telegram}}
  overlap: {key: "{{ payload.person }}", policy: queue}
  actions: [{id: a, type: agent, conversation: true, goal: "{{ payload.text }}", tools: [mqtt]}]
"""
CALLS = """
- name: hands
  trigger: {chat: {otherwise: true, platform: telegram}}
  actions:
    - {id: a, type: agent, conversation: true, goal: "{{ payload.text }}"}
    - {id: b, type: task, task: tune, wait: %s}
- name: tune
  trigger: manual
  actions: [{id: c, type: task, task: deeper}]
- name: deeper
  trigger: manual
  actions: [{id: d, type: approval, question: May I?}]
"""
HANDS_OFF_LAMPS = """policy: 1
name: t
layer: box
default: allow
rules: [{id: no, kinds: [mqtt], topic: "lamp/#", decide: deny, reason: hands off}]
"""
LAMP = ("mqtt", {"topic": "lamp/3", "payload": "red"})
STOP = ("mqtt", {"topic": "plant/pump/3/set", "payload": "off"})


async def decide(talk: Talk, choice: Choice) -> None:
    (row,) = [one for one in await talk.approvals() if one.state == "open"]
    by = await sync_to_async(lambda: User.objects.get(username="bert").principal)()
    await sync_to_async(approvals.decide)(
        str(row.pk), Word(choice, by, Way.WEB, talk.clock.now(), reason="no")
    )


async def waits(talk: Talk) -> list[str]:
    await talk.delivered()
    rows = await talk.sql("SELECT message FROM outbox_item WHERE key LIKE 'chat-waits/%%'")
    return [row["message"]["text"] for row in rows]


async def test_who_asked_is_told_once_that_another_person_has_to_approve(talk: Talk) -> None:
    await talk.policy(ALLOW)
    await talk.load(ACTS)
    talk.says(turn(STOP), end("I stopped it.", changed=True))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    for _ in range(2):
        (told,) = await waits(talk)
    assert told.startswith("hands proposes something, which waits for an approval until")
    assert talk.world.published == []
    await decide(talk, Choice.APPROVE)
    await talk.work()
    assert talk.world.published == [("plant/pump/3/set", b"off")]
    assert [told[2]["text"] for told in await talk.delivered()] == [
        "I stopped it.\n\nChanged, by the box's own record: mqtt (topic: plant/pump/3/set, payload: off)."
    ]


async def test_a_no_is_told_in_every_later_turn_and_never_shortened_away(talk: Talk) -> None:
    await talk.policy(ALLOW)
    await talk.load(ACTS)
    script = talk.says(turn(STOP), end("It was not allowed."), end("Still not."))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    await decide(talk, Choice.DENY)
    await talk.work()
    ((_, _, message),) = await talk.delivered()
    assert message["text"].startswith("It was not allowed.")
    denied = "[Not done: mqtt (topic: plant/pump/3/set, payload: off) was denied.]"
    assert denied in message["text"], "it claims no change: it is no lie"
    await talk.tell("and would you make it quiet over there now?")
    await talk.work()
    said = script.told(2)
    assert "People said no to these calls before." in said
    assert 'mqtt {"payload": "off", "topic": "plant/pump/3/set"}' in said


async def test_an_answer_that_no_row_confirms_says_so_where_it_is_told(talk: Talk) -> None:
    talk.says(end("I have switched it off.", changed=True))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    ((_, _, message),) = await talk.delivered()
    assert "[Not confirmed: it says that something was changed, and nothing was.]" in message["text"]


@pytest.mark.parametrize("word", ["new conversation", "forget the conversation"])
async def test_a_no_outlives_the_conversation_in_which_it_was_said(talk: Talk, word: str) -> None:
    """Also one of a run of which nothing came in the end."""
    await talk.policy(ALLOW)
    await talk.load(ACTS)
    script = talk.says(turn(STOP), ModelRefused("the model is not what it was"), end("Still not."))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    await decide(talk, Choice.DENY)
    await talk.work()
    assert (await talk.newest_run())["state"] == "failed"
    await talk.tell(word)
    await talk.tell("and would you make it quiet over there now?")
    await talk.work()
    said = script.told(2)
    assert "would you be so kind" not in said
    assert "People said no to these calls before." in said
    assert said.count('mqtt {"payload": "off", "topic": "plant/pump/3/set"}') == 1


async def test_what_a_turn_is_told_of_denials_is_fixed_when_its_run_begins(talk: Talk) -> None:
    await talk.policy(ALLOW)
    await talk.load(ACTS)
    script = talk.says(end("82 °C."), ModelUnavailable("it fell over"), end("Yes."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("and would you say that this is too much?")
    await talk.work()
    await talk.sql(
        "INSERT INTO agent_denial (conversation_id, run_id, call, at) "
        "SELECT conversation_id, gen_random_uuid(), 'mqtt {}', now() FROM agent_message LIMIT 1"
    )
    for row in await talk.sql("SELECT id FROM runs_run WHERE split_id IS NOT NULL AND state = 'waiting'"):
        await talk.pass_time(row["id"], timedelta(seconds=30))
        await talk.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", row["id"])
        await talk.perform(row["id"])
    assert len(script.asked) == 3
    assert "People said no" not in script.told(2)


async def everything(talk: Talk) -> None:
    """Also runs that others call, and wait for."""
    for _ in range(8):
        await talk.work()
        await talk.sql(
            "UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE state = 'waiting' AND waiting_for = 'timer'"
        )
    await talk.work()


@pytest.mark.parametrize("waited_for", [True, False])
async def test_who_asked_is_told_that_a_task_waits_which_is_called_for_them(
    talk: Talk, waited_for: bool
) -> None:
    """Only of one that their run waits for: who merely starts one goes on, and ends."""
    await talk.load(CALLS % str(waited_for).lower())
    talk.says(end("I see to it."))
    await talk.tell("would you be so kind and make it quiet over there?")
    await everything(talk)
    assert [one.task for one in await talk.approvals()] == ["deeper"]
    for _ in range(2):
        found = await waits(talk)
    assert [one.partition(",")[0] for one in found] == (["deeper proposes something"] if waited_for else [])


async def test_only_a_persons_no_is_kept_as_one(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the policy refuses is no person's word, and pushes none out."""
    monkeypatch.setattr("appliance.agent.conversations.before.MOST_DENIED", 1)
    await talk.policy(HANDS_OFF_LAMPS)
    await talk.load(ACTS)
    script = talk.says(turn(STOP), turn(LAMP), end("It was not allowed."), end("Still not."))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    await decide(talk, Choice.DENY)
    await talk.work()
    assert "DENIED" in script.told(2)
    assert "hands off" in script.told(2)
    assert await denials(talk) == ['mqtt {"payload": "off", "topic": "plant/pump/3/set"}']
    await talk.tell("and would you make it quiet over there now?")
    await talk.work()
    assert "People said no to these calls before." in script.told(3)
    assert "plant/pump/3/set" in script.told(3).partition("People said no")[2]


@pytest.mark.parametrize("said_no", [True, False])
async def test_of_a_plan_each_call_is_kept_that_a_person_said_no_to(talk: Talk, said_no: bool) -> None:
    await talk.policy(ALLOW)
    await talk.load(ACTS)
    talk.says(turn(STOP, LAMP), end("It was not allowed."))
    await talk.tell("would you be so kind and make it quiet over there?")
    await talk.work()
    if said_no:
        await decide(talk, Choice.DENY)
    else:
        talk.clock.advance(timedelta(days=1))
        await talk.sql(
            "UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE waiting_for = 'approval'"
        )
    await talk.work()
    assert (await talk.newest_run())["state"] == "succeeded"
    assert [one.partition(" ")[0] for one in await denials(talk)] == ["mqtt"] * (2 if said_no else 0)


async def denials(talk: Talk) -> list[str]:
    return [row["call"] for row in await talk.sql("SELECT call FROM agent_denial ORDER BY id")]
