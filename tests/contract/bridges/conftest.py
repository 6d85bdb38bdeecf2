"""The members of the family: loopback, webchat, and telegram against the stand-in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from appliance.bridges.loopback.bridge import LoopbackBridge
from appliance.bridges.ports import Bridge
from appliance.bridges.telegram.bridge import TelegramBridge
from appliance.bridges.webchat.bridge import WebchatBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import Pool, context, idle_pool, open_pool
from tests.database import emptied
from tests.standins.telegram import TOKEN, TelegramStandin


@dataclass
class Member:
    """A bridge, a conversation it can speak to, what people saw, and an event of somebody writing ``status``."""

    bridge: Bridge
    conversation: str
    seen: Callable[[], Awaitable[list[str]]]
    event: JsonObject


def _member_of_table(kind: str, pool: Pool) -> Member:
    bridge: Bridge
    if kind == "webchat":
        bridge, conversation = WebchatBridge(context(kind, pool=pool)), "feed"
    else:
        bridge, conversation = LoopbackBridge(context(kind, pool=pool)), "loopback"

    async def seen() -> list[str]:
        async with pool.connection() as connection:
            rows = await connection.execute("SELECT text FROM bridges_message ORDER BY id")
            return [row[0] for row in await rows.fetchall()]

    event: JsonObject = {"conversation": conversation, "user_id": "7", "user_name": "Ann", "text": "status"}
    return Member(bridge, conversation, seen, event)


def _telegram(standin: TelegramStandin) -> Member:
    built = TelegramBridge(
        context(
            "telegram",
            pool=idle_pool(),
            config={"auth": "BOT_TOKEN", "message_parser": "markdown_v2"},
            secrets={"BOT_TOKEN": TOKEN},
            telegram_api=standin.root,
        ),
        part_pause=0,
    )

    async def seen() -> list[str]:
        return standin.texts

    user: JsonObject = {"id": 7, "is_bot": False, "first_name": "Ann"}
    message: JsonObject = {
        "message_id": 1,
        "date": 0,
        "chat": {"id": 42, "type": "private"},
        "from": user,
        "text": "status",
    }
    return Member(built, "42", seen, {"update_id": 1, "message": message})


@pytest.fixture(params=["loopback", "webchat", "telegram"])
async def member(request: pytest.FixtureRequest, django_db_setup: None) -> AsyncIterator[Member]:
    if request.param == "telegram":
        with TelegramStandin() as standin:
            made = _telegram(standin)
            yield made
            await made.bridge.stop()
        return
    async with open_pool() as pool:
        async with pool.connection() as connection:
            await connection.execute(emptied("bridges_message", "events_event"))
        made = _member_of_table(request.param, pool)
        yield made
        await made.bridge.stop()
