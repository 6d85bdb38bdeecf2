"""What was asked is edited once it is settled: by whom, and without buttons."""

from typing import Any
from uuid import UUID

import pytest

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges import services, settling
from appliance.lib.clock import SystemClock
from appliance.lib.identity import uuid7
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from tests.standins.telegram import TOKEN
from tests.wait import wait_for_async

from .conftest import House, in_thread

NOW = SystemClock().now


async def ask(house: House, platform: str) -> UUID:
    message: dict[str, Any] = {
        "text": "May it?\nwrite yes",
        "buttons": [{"label": "Yes", "data": "approve T1"}],
        "asks": settling.asked("May it?", "en"),
    }
    key = f"escalation/{uuid7()}"
    async with house.pool.connection() as connection, connection.transaction():
        return await enqueue(connection, OutboxItem(key, platform, message, at=NOW()))


async def settle(house: House, item: UUID) -> None:
    async with house.pool.connection() as connection, connection.transaction():
        await settling.settle(
            connection, settling.these([item]), "approved", lambda: "Approved by ann", NOW(), "escalation/"
        )


async def note_of(house: House) -> list[tuple[Any, ...]]:
    return await house.rows(
        "SELECT receipt ->> 'note' FROM outbox_item WHERE message ? 'settles' AND state = 'delivered'"
    )


@pytest.fixture
async def telegram(house: House, ann: User) -> House:
    await in_thread(services.save_platform, {"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, NOW())
    return house


async def test_a_platform_that_can_edit_says_it_in_the_messages_place(telegram: House) -> None:
    async with telegram.living():
        item = await ask(telegram, "telegram")
        await telegram.until(item, "delivered")
        assert telegram.telegram.sent[0]["reply_markup"]
        await settle(telegram, item)
        await wait_for_async(lambda: note_of(telegram))
    assert telegram.telegram.texts == ["May it?\nApproved by ann"]


async def test_the_web_admins_own_chat_is_edited_and_has_no_button_any_more(house: House) -> None:
    async with house.living():
        item = await ask(house, "webchat")
        await house.until(item, "delivered")
        await settle(house, item)
        await wait_for_async(lambda: note_of(house))
    assert await house.chat() == [("feed", "May it?\nApproved by ann")]
    assert await house.rows("SELECT buttons FROM bridges_message") == [([],)]


async def test_what_cannot_be_edited_any_more_is_followed_by_one_line(telegram: House) -> None:
    async with telegram.living():
        item = await ask(telegram, "telegram")
        await telegram.until(item, "delivered")
        await telegram.rows(
            "UPDATE outbox_item SET receipt = jsonb_set(receipt, '{message_ids}', '[\"999999\"]') WHERE id = %s"
            " RETURNING 1",
            item,
        )
        await settle(telegram, item)
        await wait_for_async(lambda: note_of(telegram))
    assert telegram.telegram.texts == ["May it?\nwrite yes", "Approved by ann\nMay it?"]


async def test_what_was_never_sent_is_never_settled_aloud(house: House) -> None:
    item = await ask(house, "webchat")
    await settle(house, item)
    assert await house.reason(item) == ("expired", "it was settled before it was sent")
    async with house.living():
        other = await house.put("later", "webchat")
        await house.until(other, "delivered")
    assert await house.chat() == [("feed", "later")]
