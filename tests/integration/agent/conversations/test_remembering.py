"""What the agent is to remember: it proposes, people decide; and what they tell it to keep to is told each time."""

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.accounts.principal import NotAllowed, Principal
from appliance.agent.conversations import notes
from appliance.agent.conversations.domain import LONGEST_NOTE, MOST_STANDING, NoteScope
from appliance.agent.conversations.errors import NoteRefused, NoteUnknown
from appliance.agent.conversations.models import AgentConversation, AgentNote
from appliance.agent.conversations.starting import Where, heard
from appliance.audit.models import AuditRecord
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end, turn

PROPOSE = ("notes.propose", {"text": "The valve of line 3 sticks."})


async def person(name: str = "anna") -> Principal:
    return await sync_to_async(lambda: User.objects.get(username=name).principal)()


async def test_what_a_person_tells_it_to_keep_to_is_told_whole_and_in_the_systems_voice(talk: Talk) -> None:
    told = await talk.tell("always answer in Chinese")
    number = (await AgentNote.objects.aget()).pk
    assert told.text == f"I keep to this from now on ({number}): always answer in Chinese"
    assert told.buttons == (f"notes end {number}",)
    script = talk.says(end("你好。"), end("Hello."))
    await talk.tell("would you say hello to me please?")
    await talk.work()
    role, system = script.asked[0].messages[0]
    assert (role, "- always answer in Chinese" in system) == ("system", True)
    assert "Ended" in (await talk.tell(f"notes end {number}")).text
    await talk.tell("and would you say hello to me again?")
    await talk.work()
    assert "always answer in Chinese" not in script.asked[1].messages[0][1]


async def test_a_proposed_note_counts_once_a_person_has_accepted_it(talk: Talk) -> None:
    script = talk.says(turn(PROPOSE), end("I proposed to note it."), end("a"), end("b"))
    await talk.tell("do keep in mind what happened to it in May")
    await talk.work()
    note = await AgentNote.objects.aget()
    assert (note.state, note.person, note.proposed_by) == ("proposed", "anna", "user:anna")
    assert note.run_id == (await talk.newest_run())["id"]
    await talk.tell("what do you know about that pump now?")
    await talk.work()
    assert "valve" not in script.told(2)
    listed = await talk.tell("notes")
    assert listed.text == f"{note.pk} proposed: The valve of line 3 sticks."
    assert listed.buttons == (f"notes accept {note.pk}", f"notes reject {note.pk}")
    assert (await talk.tell(f"笔记 接受 {note.pk}")).text == "已接受：The valve of line 3 sticks."
    await talk.tell("and what do you know about it now?")
    await talk.work()
    assert "- The valve of line 3 sticks." in script.told(3)
    assert "valve" not in script.asked[3].messages[0][1], "a model has written it: it is data"
    kinds = [row.kind async for row in AuditRecord.objects.filter(kind__startswith="note.").order_by("seq")]
    assert kinds[-2:] == ["note.proposed", "note.accepted"]


async def test_a_rejected_note_is_never_told_and_is_decided_once(talk: Talk) -> None:
    anna, now = await person(), talk.clock.now()
    note = await sync_to_async(notes.propose)(anna, "x", NoteScope.PERSON, now)
    await sync_to_async(notes.reject)(anna, note.pk, now)
    assert (await sync_to_async(notes.reject)(anna, note.pk, now)).state == "rejected"
    with pytest.raises(NoteRefused, match="waits for nobody"):
        await sync_to_async(notes.accept)(anna, note.pk, now)
    script = talk.says(end("a"))
    await talk.tell("what do you know about that pump now?")
    await talk.work()
    assert "notes" not in script.told(0).partition("What you are asked now")[0].partition("Tools:")[0]


async def test_nobody_sees_or_decides_about_what_is_another_persons(talk: Talk) -> None:
    anna, bert, now = await person(), await person("bert"), talk.clock.now()
    note = await sync_to_async(notes.propose)(anna, "x", NoteScope.PERSON, now)
    with pytest.raises(NoteUnknown):
        await sync_to_async(notes.accept)(bert, note.pk, now)
    assert await sync_to_async(notes.notes)(bert) == []


async def test_what_all_are_told_is_given_by_who_may_edit_tasks(talk: Talk) -> None:
    anna, bert, now = await person(), await person("bert"), talk.clock.now()
    with pytest.raises(NotAllowed):
        await sync_to_async(notes.instruct)(anna, "Be brief.", now, scope=NoteScope.BOX)
    note = await sync_to_async(notes.instruct)(bert, "Be brief.", now, scope=NoteScope.BOX)
    with pytest.raises(NotAllowed):
        await sync_to_async(notes.end)(anna, note.pk, now)
    script = talk.says(end("a"))
    await talk.tell("what do you know about that pump now?")
    await talk.work()
    assert "- Be brief." in script.asked[0].messages[0][1]


async def test_what_is_told_each_time_has_bounds_which_are_kept_where_it_is_given(talk: Talk) -> None:
    anna, now = await person(), talk.clock.now()
    for number in range(MOST_STANDING):
        await sync_to_async(notes.instruct)(anna, f"keep to {number}", now)
    with pytest.raises(NoteRefused, match=f"there are {MOST_STANDING} of these"):
        await sync_to_async(notes.instruct)(anna, "and this", now)
    with pytest.raises(NoteRefused, match=f"between 1 and {LONGEST_NOTE}"):
        await sync_to_async(notes.propose)(anna, "x" * (LONGEST_NOTE + 1), NoteScope.PERSON, now)


async def test_a_persons_instructions_are_not_told_in_a_room(talk: Talk) -> None:
    await talk.load(ROOM)
    await talk.tell("always call me the boss")
    room = await sync_to_async(_room)(await person("bert"), talk)
    await sync_to_async(notes.instruct)(
        await person("bert"),
        "Be polite here.",
        talk.clock.now(),
        scope=NoteScope.ROOM,
        conversation_id=room.pk,
    )
    script = talk.says(end("a"))
    await talk.tell("mill, what do you know about that pump?", private=False, place="hall")
    await talk.work()
    system = script.asked[0].messages[0][1]
    assert ("boss" in system, "Be polite here." in system) == (False, True)


ROOM = """
- name: room
  trigger: {chat: {otherwise: true, names: [mill]}}
  actions: [{id: a, type: agent, conversation: true, goal: "{{ payload.text }}"}]
"""


def _room(by: Principal, talk: Talk) -> AgentConversation:
    where = Where("telegram", "hall", private=False)
    return heard(by, where, "hello all", talk.clock.now(), key="k").conversation
