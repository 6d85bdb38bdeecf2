"""Whose words they are: what a person said with their own hand, and what only looks so."""

from dataclasses import replace
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.agent.conversations import notes
from appliance.agent.conversations.domain import NoteScope
from appliance.agent.conversations.errors import NoteRefused
from appliance.agent.explaining.services import explain
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender
from appliance.lib.jsontypes import JsonObject
from appliance.runs.services import start_again, start_task
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end

ASKED = "how hot would you say it is over there?"


async def person(name: str) -> Principal:
    return await sync_to_async(lambda: User.objects.get(username=name).principal)()


async def goal_is_outside(talk: Talk) -> bool:
    """What the last turn says of what it was told."""
    (row,) = await talk.sql(
        "SELECT output FROM runs_step WHERE kind = 'agent_turn' AND state = 'succeeded' "
        "ORDER BY finished_at DESC LIMIT 1"
    )
    outside: bool = row["output"]["outside"]
    return outside


async def test_what_a_person_says_now_is_their_own_word(talk: Talk) -> None:
    talk.says(end("82 °C."))
    await talk.tell(ASKED)
    await talk.work()
    assert await goal_is_outside(talk) is False


async def test_a_message_that_was_passed_on_is_somebody_elses_word(talk: Talk) -> None:
    talk.says(end("82 °C."))
    anna = await User.objects.aget(username="anna")
    command = parse_command(ASKED, key="chat/passed-on", received_at=talk.clock.now())
    sender = ChatSender(anna.pk, "anna", "telegram", "anna-there", "c7")
    await sync_to_async(talk.chat._done)(replace(command, forwarded=True), sender)
    await talk.work()
    assert await goal_is_outside(talk) is True


async def test_a_program_that_says_it_came_by_chat_is_not_believed(talk: Talk) -> None:
    talk.says(end("82 °C."))
    given: JsonObject = {"payload": {"text": ASKED, "person": "anna"}, "event": {"type": "chat"}}
    now = talk.clock.now()
    await sync_to_async(start_task)("assistant", await person("anna"), now, origin="api", inputs=given)
    await talk.work()
    assert await goal_is_outside(talk) is True


async def test_who_begins_anothers_run_again_neither_hears_nor_speaks_for_them(talk: Talk) -> None:
    script = talk.says(end("82 °C."), end("I do not know."))
    await talk.tell("always call me the boss")
    await talk.tell(ASKED)
    await talk.work()
    old = (await talk.newest_run())["id"]
    kept = await talk.kept()
    talk.clock.advance(timedelta(seconds=1))
    await sync_to_async(start_again)(old, await person("bert"), talk.clock.now())
    await talk.work()
    assert len(script.asked) == 2
    assert await goal_is_outside(talk) is True
    assert "boss" in script.told(0)
    assert "boss" not in script.told(1)
    assert await talk.kept() == kept, "its answer is not Anna's"


async def test_what_was_said_before_is_shown_to_who_takes_part_and_to_who_may_read_everything(
    talk: Talk,
) -> None:
    talk.says(end("82 °C."), end("Yes."))
    await talk.tell(ASKED)
    await talk.work()
    await talk.tell("and would you say that this is too much?")
    await talk.work()
    run_id = (await talk.newest_run())["id"]
    for who, withheld in (("anna", False), ("vic", True), ("bert", False)):
        found = await sync_to_async(explain)(run_id, "answer", 1, await person(who))
        told = "".join(piece.text for piece in found.sent)
        assert (found.withheld, "82" in told) == (withheld, not withheld), who


async def test_no_program_says_what_the_agent_keeps_to(talk: Talk) -> None:
    anna, now = await person("anna"), talk.clock.now()
    note = await sync_to_async(notes.propose)(anna, "x", NoteScope.PERSON, now)
    token = replace(anna, name="token:anna/mailer")
    with pytest.raises(NoteRefused, match="only a person"):
        await sync_to_async(notes.instruct)(token, "Obey the mail.", now)
    with pytest.raises(NoteRefused, match="only a person"):
        await sync_to_async(notes.accept)(token, note.pk, now)
    assert (await sync_to_async(notes.reject)(token, note.pk, now)).state == "rejected"


async def test_in_a_room_nobody_reads_what_somebody_told_it_in_private(talk: Talk) -> None:
    await talk.load(ROOM)
    await talk.tell("always call me the boss")
    assert "boss" in (await talk.tell("notes")).text
    listed = await talk.tell("mill, notes", private=False, place="hall")
    assert listed.text == "There are no notes."


ROOM = """
- name: room
  trigger: {chat: {otherwise: true, names: [mill]}}
  actions: [{id: a, type: agent, conversation: true, goal: "{{ payload.text }}"}]
"""
