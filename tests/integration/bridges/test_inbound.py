"""Inbound: durable first, then understood, answered once; stop waits for nobody."""

import asyncio
from typing import Any

import pytest
from django.db import connection as django_connection

from appliance.accounts.models import User
from appliance.bridges import chats
from appliance.bridges.inbox import BridgeInbox, receive_now
from appliance.bridges.messages import RawEvent
from appliance.bridges.models import ChatIdentity, ChatRecord, Inbound
from appliance.bridges.ports import ChatCommand
from appliance.lib.clock import SystemClock
from appliance.lib.errors import MillwrightError
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now


def event(number: int, text: str, user: str = "echo") -> RawEvent:
    return RawEvent(str(number), {"user_id": user, "text": text, "conversation": "c", "user_name": "E"})


@pytest.fixture
def linked(ann: User) -> User:
    ChatIdentity.objects.create(
        platform="loopback", user_id="echo", person=ann, first_seen=NOW(), last_seen=NOW()
    )
    return ann


async def said(house: House, platform: str = "loopback") -> list[str]:
    return [text for _, text in await house.chat(platform)]


async def test_a_command_is_answered_in_its_conversation(house: House, ann: User) -> None:
    async with house.living():
        await in_thread(chats.post_message, ann, "run overheat guard", NOW())
        await wait_for_async(lambda: house.chat())
    assert await house.chat() == [("user:ann", "run overheat guard")]
    [(command, sender)] = house.handler.heard
    assert (command.argument, sender.username, sender.principal) == ("overheat guard", "ann", "user:ann")
    assert command.key.startswith("chat/webchat/message-")


async def test_an_event_given_twice_is_handled_once(house: House, linked: User) -> None:
    inbox = BridgeInbox(house.pool, SystemClock(), "loopback", lambda: None)
    assert await inbox.receive([event(1, "status"), event(1, "status")]) == 1
    assert await inbox.receive([event(1, "status")]) == 0
    async with house.living():
        await wait_for_async(lambda: said(house))
    assert house.handler.verbs == ["status"]


async def test_what_was_received_before_a_crash_is_handled_by_the_next_life(
    house: House, linked: User
) -> None:
    stuck = asyncio.Event()

    async def forever(command: ChatCommand) -> str:
        await stuck.wait()
        return "never"

    await in_thread(receive_now, "loopback", [event(1, "run a")], NOW())
    house.handler.act = forever
    async with house.living():
        await wait_for_async(lambda: house.handler.heard)
    assert await said(house) == []
    house.handler.act = None
    async with house.living():
        await wait_for_async(lambda: said(house))
    first, second = (command.key for command, _ in house.handler.heard)
    assert first == second, "the handler can tell that it is the same command"
    assert await said(house) == ["run a"]


async def test_stop_overtakes_everything_that_is_being_worked_on(house: House, linked: User) -> None:
    release = asyncio.Event()

    async def slow(command: ChatCommand) -> str:
        if command.verb == "stop":
            return "stopped"
        await release.wait()
        return "done"

    house.handler.act = slow
    events = [event(number, f"run {number}") for number in range(20)]
    await in_thread(receive_now, "loopback", [*events, event(99, "停止")], NOW())
    async with house.living():
        await wait_for_async(lambda: "stop" in house.handler.verbs)
        assert house.handler.verbs.count("run") <= 8
        await wait_for_async(lambda: said(house))
        assert await said(house) == ["stopped"]
        release.set()
        await wait_for_async(lambda: house.handler.verbs.count("run") == 20)
    runs = [command.argument for command, _ in house.handler.heard if command.verb == "run"]
    assert runs == [str(number) for number in range(20)], "one conversation keeps its order"


async def test_a_stranger_gets_nothing_and_is_seen(house: House) -> None:
    await in_thread(
        receive_now, "loopback", [event(1, "stop", "mallory"), event(2, "help", "mallory")], NOW()
    )
    async with house.living():

        async def handled() -> bool:
            return await house.rows("SELECT state FROM bridges_inbound") == [("ignored",)] * 2

        await wait_for_async(handled)
    assert house.handler.heard == []
    assert await said(house) == []
    [(user, person, refused)] = await house.rows(
        "SELECT user_id, person_id, refused FROM bridges_chatidentity"
    )
    assert (user, person, refused) == ("mallory", None, 2)


async def test_a_switched_off_account_can_do_nothing(house: House, linked: User) -> None:
    await house.rows("UPDATE accounts_user SET is_active = false RETURNING 1")
    await in_thread(receive_now, "loopback", [event(1, "status")], NOW())
    async with house.living():

        async def handled() -> bool:
            return await house.rows("SELECT state FROM bridges_inbound") == [("ignored",)]

        await wait_for_async(handled)
    assert house.handler.heard == []


async def test_a_refusal_is_said_and_a_bug_is_not_shown(house: House, linked: User) -> None:
    async def act(command: ChatCommand) -> str:
        if command.argument == "x":
            raise MillwrightError("there is no task x", hint="did you mean y?")
        raise ZeroDivisionError("secret detail")

    house.handler.act = act
    await in_thread(receive_now, "loopback", [event(1, "run x"), event(2, "run z")], NOW())
    async with house.living():

        async def both() -> bool:
            return len(await said(house)) == 2

        await wait_for_async(both)
    answers = await said(house)
    assert answers[0] == "there is no task x (did you mean y?)"
    assert "did not work" in answers[1]


async def test_help_is_given_in_the_language_of_the_question(house: House, linked: User) -> None:
    await in_thread(receive_now, "loopback", [event(1, "help"), event(2, "what?")], NOW())
    async with house.living():

        async def both() -> bool:
            return len(await said(house)) == 2

        await wait_for_async(both)
    answers = await said(house)
    assert "run <task>" in answers[0]
    assert "help" in answers[1]
    assert house.handler.verbs == ["help", "unknown"]


async def test_an_event_that_breaks_its_bridge_does_not_block_the_next_one(
    house: House, linked: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.bridges.loopback.bridge import LoopbackBridge

    understand = LoopbackBridge.handle_event

    async def breaking(self: LoopbackBridge, payload: dict[str, Any]) -> Any:
        if payload["text"] == "bad":
            raise KeyError("bug")
        return await understand(self, payload)

    monkeypatch.setattr(LoopbackBridge, "handle_event", breaking)
    await in_thread(receive_now, "loopback", [event(1, "bad"), event(2, "status")], NOW())
    async with house.living():
        await wait_for_async(lambda: said(house))
    [(attempts, error)] = await house.rows("SELECT attempts, error FROM bridges_inbound WHERE event_id = '1'")
    assert attempts >= 1
    assert "KeyError" in error


def test_a_posted_message_is_kept_shown_and_received_in_one_commit(ann: User) -> None:
    chats.post_message(ann, "  status ", NOW())
    [message] = chats.messages(ann)
    assert (message.text, message.inbound, message.author) == ("status", True, "ann")
    [inbound] = Inbound.objects.all()
    assert inbound.payload["user_id"] == str(ann.pk)
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM events_event WHERE type = 'feed.message'")
        assert cursor.fetchone() == (1,)
    for bad in ("", "  ", "x" * 4001):
        with pytest.raises(chats.MessageRefused):
            chats.post_message(ann, bad, NOW())


def test_chat_pages_are_keyset_pages_of_what_a_person_may_see(ann: User) -> None:
    for number, conversation in enumerate(["feed", "user:ann", "user:bob", "feed"]):
        ChatRecord.objects.create(
            platform="webchat", conversation=conversation, text=str(number), created_at=NOW()
        )
    assert [m.text for m in chats.messages(ann)] == ["3", "1", "0"]
    assert [m.text for m in chats.feed()] == ["3", "0"]
    assert [m.text for m in chats.conversation(ann)] == ["1"]
    newest = chats.messages(ann, limit=1)[0]
    assert [m.text for m in chats.messages(ann, before=newest.pk)] == ["1", "0"]
    assert chats.prune(NOW()) == 4
