"""Messages to and from programs: the example client of the documentation, a real web process, the reactor's hub."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX, NotAllowed
from appliance.accounts.tokens import issue_api_token, revoke_api_token
from appliance.bridges.gateway import chat
from appliance.bridges.hub import BridgeHub
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.lib.identity import uuid7
from appliance.outbox.sender import Sender
from appliance.outbox.services import drop
from appliance.processes.chat import ChatCommands
from appliance.runs.models import Run
from appliance.tasks.services import apply_text, set_enabled
from tests.gateway_desk import example
from tests.integration.webadmin.web_process import web_process
from tests.wait import wait_for_async

from .conftest import House, in_thread

GREET = "- name: {name}\n  trigger: manual\n  actions: [{{type: set, value: 1}}]\n"
TASKS = GREET.format(name="greet") + GREET.format(name="lamp")
client = example()


@pytest.fixture(autouse=True)
def _no_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands' thread lives on after a test; the database must be free to be dropped."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


def now() -> datetime:
    return datetime.now(UTC)


def issue(user: User, name: str = "bot", *scopes: Ability) -> str:
    return issue_api_token(user, name, scopes or (Ability.VIEW, Ability.CHAT), BOX, now())


def token_of(name: str = "bot") -> ApiToken:
    return ApiToken.objects.select_related("user").get(name=name)


def says(id_: str, text: str, name: str = "bot") -> None:
    chat.say(token_of(name), id_, text, now())


def open_texts(name: str = "bot") -> list[str]:
    return [one.text for one in chat.open_messages(token_of(name))]


def acknowledge(item: Any, name: str = "bot") -> bool:
    return chat.acknowledge(token_of(name), item, now())


async def test_a_message_is_delivered_when_a_program_acknowledges_it_and_not_before(
    house: House, ann: User
) -> None:
    await in_thread(issue, ann)
    async with house.living():
        first, second = await house.put("one", "gateway"), await house.put("two", "gateway")
        await house.until(first, "pending", "no connected program has acknowledged it yet")
        assert await in_thread(open_texts) == ["one"]
        assert await in_thread(acknowledge, first) is True
        await house.until(first, "delivered")
        assert await in_thread(acknowledge, first) is False, "somebody has it already"
        await wait_for_async(lambda: in_thread(lambda: open_texts() == ["two"]), what="the next one")
        assert await in_thread(acknowledge, second) is True
        await house.until(second, "delivered")
    [(receipt,)] = await house.rows("SELECT receipt FROM outbox_item WHERE id = %s", first)
    assert receipt["detail"] == {"acknowledged_by": "token:ann/bot"}


async def test_only_whom_it_is_for_sees_and_acknowledges_it(house: House, ann: User) -> None:
    for name, scopes in {"bot": (Ability.CHAT,), "other": (Ability.CHAT,), "blind": (Ability.VIEW,)}.items():
        await in_thread(issue, ann, name, *scopes)
    async with house.living():
        item = await house.put("for bot", "gateway", "ann/bot")
        await wait_for_async(lambda: in_thread(lambda: open_texts() == ["for bot"]), what="it is there")
        assert await in_thread(open_texts, "other") == await in_thread(open_texts, "blind") == []
        with pytest.raises(chat.NoSuchMessage):
            await in_thread(acknowledge, item, "other")
        with pytest.raises(NotAllowed):
            await in_thread(acknowledge, item, "blind")
        with pytest.raises(chat.NoSuchMessage):
            await in_thread(acknowledge, uuid7())
        await house.until(item, "pending", "acknowledged")
        await in_thread(drop, item, BOX)
        assert await in_thread(open_texts) == []
        with pytest.raises(chat.NoSuchMessage, match="expired"):
            await in_thread(acknowledge, item)
        await in_thread(lambda: revoke_api_token(token_of().pk, BOX, now()))
        for nobody in ("ann/bot", "ann/none", "ann/blind"):
            await house.until(await house.put("for nobody", "gateway", nobody), "failed", "no token")


async def test_what_a_program_says_is_done_within_its_scopes_and_once(house: House, ann: User) -> None:
    """Not with the rights of its person: the token of an operator that may only chat starts nothing."""
    await in_thread(issue, ann, "bot", Ability.CHAT)
    await in_thread(issue, ann, "runs", Ability.CHAT, Ability.RUN_TASKS)
    await in_thread(apply_text, TASKS, "greet.yaml", BOX, now())
    hub = BridgeHub(house.pool, ChatCommands(), SystemClock())
    await hub.start()
    try:
        for name in ("bot", "runs"):
            for _ in range(2):
                await in_thread(says, "1", "run greet", name)
        answers = "SELECT conversation, message ->> 'text' FROM outbox_item ORDER BY conversation"

        async def answered() -> bool:
            return len(await house.rows(answers)) == 2

        await wait_for_async(answered, what="both were answered")
        (bot, refusal), (runs, started) = await house.rows(answers)
        assert (bot, runs) == ("ann/bot", "ann/runs")
        assert "has no right to run tasks" in refusal
        assert "Started greet" in started
        run = await in_thread(Run.objects.get)
        assert (run.principal, run.origin) == ("token:ann/runs", "api")
        await in_thread(lambda: revoke_api_token(token_of("runs").pk, BOX, now()))
        await in_thread(says, "2", "run greet", "runs")

        async def again() -> bool:
            return len(await house.rows(answers)) == 3

        await wait_for_async(again, what="that was answered too")
        assert await in_thread(Run.objects.count) == 1
    finally:
        await hub.stop()


@pytest.fixture
def place(clean: None, engines: Config, tmp_path: Path) -> Iterator[str]:
    with web_process(engines, tmp_path) as place:
        yield place


@pytest.fixture
async def reactor(house: House) -> AsyncIterator[None]:
    """The hub with the box's own chat commands, and the sender."""
    hub = BridgeHub(house.pool, ChatCommands(), SystemClock())
    sender = Sender(house.pool, hub, house.runs, SystemClock())
    await hub.start()
    sending = asyncio.create_task(sender.run())
    yield
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await hub.stop()


def box(place: str, token: str, *topics: str, **more: Any) -> Any:
    return client.Gateway(f"ws://{place}/ws/gateway", token, topics, pause=0.1, **more)


@pytest.mark.slow
async def test_the_example_client_talks_with_the_box(
    place: str, house: House, reactor: None, ann: User
) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    token = await in_thread(issue, ann, "bot", Ability.VIEW, Ability.CHAT)
    async with box(place, token, on_message=heard.put) as program:
        assert (await program.command("say", text="status"))["conversation"] == "ann/bot"
        answer = await asyncio.wait_for(heard.get(), 20)
        assert "Running 0" in answer["text"]
        item = await house.put("pump 3 is hot", "gateway")
        assert (await asyncio.wait_for(heard.get(), 20))["message"] == str(item)
        await house.until(item, "delivered")
        with pytest.raises(client.Refused) as refused:
            await program.command("run", task="greet")
        assert refused.value.code == "accounts.not_allowed"
    item = await house.put("while it was away", "gateway", "ann/bot")
    async with box(place, token, on_message=heard.put):
        assert (await asyncio.wait_for(heard.get(), 20))["message"] == str(item)
        await house.until(item, "delivered")
    assert heard.empty()


def switch(enabled: bool) -> None:
    with transaction.atomic():
        set_enabled("lamp", enabled, BOX, now())


@pytest.mark.slow
async def test_the_example_client_misses_nothing_and_does_nothing_twice(
    engines: Config, clean: None, ann: User, tmp_path: Path
) -> None:
    """Its connection is torn, the web process is killed and comes back on the same port."""
    await in_thread(apply_text, TASKS, "greet.yaml", BOX, now())
    token = await in_thread(issue, ann, "bot", Ability.VIEW, Ability.RUN_TASKS)
    seen: list[str] = []

    async def read(program: Any) -> None:
        async for event in program:
            seen.append(event["data"]["change"])

    def reached(wanted: int) -> Callable[[], bool]:
        return lambda: len(seen) >= wanted

    life = web_process(engines, tmp_path)
    place = await in_thread(life.__enter__)
    async with box(place, token, "task.changed") as program:
        reading = asyncio.create_task(read(program))
        await asyncio.wait_for(program.connected.wait(), 20)
        await in_thread(switch, False)
        await wait_for_async(reached(1), what="the first")
        program._socket.transport.abort()
        await in_thread(switch, True)
        await wait_for_async(reached(2), what="what happened while the connection was torn")
        await asyncio.wait_for(program.connected.wait(), 20)
        await in_thread(life.__exit__, None, None, None)
        starting = asyncio.create_task(program.command("run", id="only-once", task="greet"))
        await in_thread(switch, False)
        again = web_process(engines, tmp_path, MILLWRIGHT_LISTEN=place)
        await in_thread(again.__enter__)
        try:
            run = await asyncio.wait_for(starting, 60)
            assert await program.command("run", id="only-once", task="greet") == run
            await in_thread(switch, True)
            await wait_for_async(reached(4), what="all that happened while the box was away")
            assert seen == ["disabled", "enabled", "disabled", "enabled"]
            assert program.gaps == 0
            assert await in_thread(Run.objects.count) == 1
            await in_thread(lambda: revoke_api_token(token_of().pk, BOX, now()))
            with pytest.raises(client.Refused):
                await asyncio.wait_for(reading, 20)
        finally:
            await in_thread(again.__exit__, None, None, None)
