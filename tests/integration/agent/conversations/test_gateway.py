"""A program says something at the gateway, and what the agent comes to is a message to it, once it is acknowledged."""

import asyncio
from datetime import UTC, datetime

from asgiref.sync import sync_to_async

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.bridges.gateway import chat
from appliance.bridges.hub import BridgeHub
from appliance.lib.clock import SystemClock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.sender import Sender
from appliance.processes.chat import ChatCommands
from tests.integration.agent.conversations.conftest import NOTHING_CHANGED, Talk
from tests.scripted_model import end
from tests.wait import wait_for_async


class _Nobody:
    """Runs that wait for no delivery."""

    async def delivered(self, run_id: object, step_id: str, receipt: JsonObject) -> None: ...

    async def failed(self, run_id: object, step_id: str, error: str) -> None: ...


def _token() -> ApiToken:
    issue_api_token(
        User.objects.get(username="anna"), "bot", [Ability.CHAT, Ability.RUN_TASKS], BOX, datetime.now(UTC)
    )
    return ApiToken.objects.select_related("user").get(name="bot")


async def test_it_is_answered_at_the_gateway_in_the_conversation_of_its_person(talk: Talk) -> None:
    script = talk.says(end("82 °C."), end("As I told your program: 82 °C."))
    token = await sync_to_async(_token)()
    hub = BridgeHub(talk.pool, ChatCommands(), SystemClock())
    sending = asyncio.create_task(Sender(talk.pool, hub, _Nobody(), SystemClock()).run())
    await hub.start()
    try:
        await sync_to_async(chat.say)(token, "1", "how hot would you say it is over there?", talk.clock.now())
        assert "I look into it: run " in await _next(talk, token)
        row = await talk.newest_run()
        assert (row["principal"], row["origin"]) == ("token:anna/bot", "api")
        await talk.work()
        await talk.delivered()
        assert await _next(talk, token) == f"82 °C.{NOTHING_CHANGED}"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await hub.stop()
    await talk.tell("what did you find out for me?")
    await talk.work()
    assert "82 °C." in script.told(1)


async def _next(talk: Talk, token: ApiToken) -> str:
    """The next message to the program, acknowledged."""
    look = sync_to_async(chat.open_messages)

    async def there() -> bool:
        return bool(await look(token))

    await wait_for_async(there, 30, "a message to the program")
    (message, *_) = await look(token)
    await sync_to_async(chat.acknowledge)(token, message.item_id, talk.clock.now())

    async def gone() -> bool:
        return all(one.item_id != message.item_id for one in await look(token))

    await wait_for_async(gone, 30, "it is acknowledged")
    return message.text
