"""A button carries nothing, works once, and only for whoever may do what it means."""

import re
from uuid import UUID

import pytest

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.messages import Button
from appliance.bridges.models import ChatIdentity
from appliance.bridges.ports import ChatCommand
from appliance.lib.clock import SystemClock
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonValue
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from tests.standins.telegram import TOKEN
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now
SPENT = "This button has done its work, or is too old."


@pytest.fixture
async def asked(house: House, ann: User) -> House:
    def set_up() -> None:
        services.save_platform({"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, NOW())
        ChatIdentity.objects.create(
            platform="telegram", user_id="77", person=ann, first_seen=NOW(), last_seen=NOW()
        )

    await in_thread(set_up)
    return house


async def ask(house: House, *, text: str = "May it?") -> UUID:
    buttons: list[JsonValue] = [
        {"label": "Approve", "data": "approve t0ken"},
        {"label": "Deny", "data": "deny t0ken"},
    ]
    item = OutboxItem(f"ask/{uuid7()}", "telegram", {"text": text, "buttons": buttons}, at=NOW())
    async with house.pool.connection() as connection, connection.transaction():
        return await enqueue(connection, item)


def buttons_of(house: House, index: int = 0) -> list[str]:
    rows = house.telegram.sent[index]["reply_markup"]["inline_keyboard"]
    return [button["callback_data"] for row in rows for button in row]


async def test_the_platform_gets_words_without_a_meaning(asked: House) -> None:
    async with asked.living():
        await asked.until(await ask(asked), "delivered")
        await asked.until(await ask(asked), "delivered")
    names = buttons_of(asked) + buttons_of(asked, 1)
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", name) for name in names)


async def test_the_first_press_decides_and_the_others_are_told(asked: House) -> None:
    async with asked.living():
        await asked.until(await ask(asked), "delivered")
        yes, no = buttons_of(asked)
        asked.telegram.press(yes, user_id=77)
        await wait_for_async(lambda: "approve t0ken" in asked.telegram.texts)
        asked.telegram.press(no, user_id=77)
        await wait_for_async(lambda: SPENT in asked.telegram.texts)
    assert [command.text for command, _ in asked.handler.heard] == ["approve t0ken"]
    rows = await asked.rows("SELECT used_by FROM bridges_button ORDER BY id")
    assert rows == [("user:ann",), ("user:ann",)]


async def test_who_may_not_press_uses_nothing_up(asked: House) -> None:
    async def refuse(command: ChatCommand) -> str:
        raise MillwrightError("you may not decide this")

    async with asked.living():
        await asked.until(await ask(asked), "delivered")
        yes, _ = buttons_of(asked)
        asked.telegram.press(yes, user_id=99)  # a stranger
        asked.handler.act = refuse
        asked.telegram.press(yes, user_id=77)
        await wait_for_async(lambda: "you may not decide this" in asked.telegram.texts)
        asked.handler.act = None
        asked.telegram.press(yes, user_id=77)
        await wait_for_async(lambda: "approve t0ken" in asked.telegram.texts)
    assert len(asked.handler.heard) == 2, "the stranger was not heard"


@pytest.mark.parametrize("forged", ["approve t0ken", "A" * 22, "x" * 64])
async def test_what_the_box_did_not_make_is_no_button(asked: House, forged: str) -> None:
    async with asked.living():
        await asked.until(await ask(asked), "delivered")
        asked.telegram.press(forged, user_id=77)
        await wait_for_async(lambda: SPENT in asked.telegram.texts)
    assert asked.handler.heard == []


async def test_a_word_of_a_button_cannot_be_typed(asked: House) -> None:
    async with asked.living():
        await asked.until(await ask(asked), "delivered")
        yes, _ = buttons_of(asked)
        asked.telegram.say(yes, user_id=77)
        await wait_for_async(lambda: len(asked.telegram.texts) == 2)
    assert asked.handler.verbs == ["unknown"]


async def test_an_answer_has_buttons_that_do_what_its_words_say(asked: House) -> None:
    asked.handler.buttons = (Button("Run fill", "run fill"), Button("Runs", "runs"))
    async with asked.living():
        asked.telegram.say("tasks", user_id=77)
        await wait_for_async(lambda: asked.telegram.texts == ["tasks"])
        [first, _] = buttons_of(asked)
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", first)
        asked.telegram.press(first, user_id=77)
        await wait_for_async(lambda: "run fill" in asked.telegram.texts)
        asked.telegram.press(first, user_id=77)
        await wait_for_async(lambda: SPENT in asked.telegram.texts)
    assert asked.handler.verbs == ["tasks", "run"]


async def test_a_message_takes_the_place_of_an_earlier_one(asked: House) -> None:
    async with asked.living():
        first = await ask(asked)
        await asked.until(first, "delivered")
        item = OutboxItem(
            f"{first}/decided", "telegram", {"text": "Approved.", "edits": str(first)}, at=NOW()
        )
        async with asked.pool.connection() as connection, connection.transaction():
            second = await enqueue(connection, item)
        await asked.until(second, "delivered")
        assert asked.telegram.texts == ["Approved."]
        assert not asked.telegram.sent[0]["reply_markup"], "and the buttons are gone"
        asked.telegram.sent.clear()  # somebody deleted it
        item = OutboxItem(f"{first}/again", "telegram", {"text": "Denied.", "edits": str(first)}, at=NOW())
        async with asked.pool.connection() as connection, connection.transaction():
            third = await enqueue(connection, item)
        await asked.until(third, "delivered")
    assert asked.telegram.texts == ["Denied."], "a new message where there is nothing to edit"
