"""A room has a conversation of its own, and each run in it is of the one who wrote."""

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.accounts.principal import NotAllowed, Principal
from appliance.agent.conversations import services
from appliance.agent.conversations.errors import ConversationUnknown
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end

ROOM = """
- name: room
  trigger: {chat: {otherwise: true, names: [mill]}}
  actions: [{id: a, type: agent, conversation: true, goal: "{{ payload.text }}"}]
"""


async def person(name: str) -> Principal:
    return await sync_to_async(lambda: User.objects.get(username=name).principal)()


async def in_room(talk: Talk, text: str, who: str) -> str:
    return (await talk.tell(text, who=who, private=False, place="hall")).text


async def test_all_who_take_part_share_what_is_said_and_each_run_is_the_writers(talk: Talk) -> None:
    await talk.load(ROOM)
    script = talk.says(end("82 °C."), end("He asked how hot it is."))
    assert "I look into it" in await in_room(talk, "mill, how hot would you say it is?", "anna")
    await talk.work()
    assert await in_room(talk, "I have no idea what to make of this", "bert") == ""
    assert "I look into it" in await in_room(talk, "@mill what did anna want of you?", "bert")
    await talk.work()
    assert "anna: how hot would you say it is?" in script.told(1)
    rows = await talk.sql("SELECT principal FROM runs_run WHERE split_id IS NULL ORDER BY id")
    assert [row["principal"] for row in rows] == ["user:anna", "user:bert"]
    assert [told[1] for told in await talk.delivered()] == ["hall", "hall"]


async def test_a_command_that_is_said_to_it_in_a_room_wakes_no_model(talk: Talk) -> None:
    await talk.load(ROOM)
    assert "Running 0" in await in_room(talk, "mill, status", "anna")
    assert await talk.count("runs_run") == 0


async def test_who_never_wrote_there_reads_nothing_and_only_who_may_edit_tasks_deletes(talk: Talk) -> None:
    await talk.load(ROOM)
    talk.says(end("82 °C."))
    await in_room(talk, "mill, how hot would you say it is?", "anna")
    await talk.work()
    anna, bert = await person("anna"), await person("bert")
    (room,) = await sync_to_async(services.conversations)(anna)
    assert [one.text for one in await sync_to_async(services.messages)(anna, room.pk)] == [
        "82 °C.", "how hot would you say it is?",
    ]  # fmt: skip
    for look in (services.messages, services.under_way):
        with pytest.raises(ConversationUnknown):
            await sync_to_async(look)(bert, room.pk)
    assert await sync_to_async(services.conversations)(bert) == []
    with pytest.raises(NotAllowed):
        await sync_to_async(services.forget)(anna, room.pk, talk.clock.now())


async def test_the_words_about_the_conversation_are_the_rooms_own_there(talk: Talk) -> None:
    await talk.load(ROOM)
    script = talk.says(end("82 °C."), end("Of what?"))
    await in_room(talk, "mill, how hot would you say it is?", "anna")
    await talk.work()
    assert "A new conversation" in await in_room(talk, "mill, new conversation", "anna")
    await in_room(talk, "mill, what was that you said about the heat?", "anna")
    await talk.work()
    assert "82" not in script.told(1)
    assert await in_room(talk, "remember to have lunch", "anna") == ""
