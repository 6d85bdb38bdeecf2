"""A browser gets every event after its position, in order, and nobody else gets any."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db import connections, transaction
from pytest_django import Settings

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.events.services import current_cursor
from appliance.runs.services import start_task
from appliance.tasks.services import apply_text, set_enabled
from webadmin.consumers.live import LiveConsumer

pytestmark = pytest.mark.django_db(transaction=True)
GREET = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"


@pytest.fixture(autouse=True)
def _no_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer's threads live on after a test; the database must be free to be dropped."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


def viewer() -> User:
    return create_user("vic", "hammer-and-anvil-7", Role.VIEWER, BOX)


def socket_of(user: Any) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live")
    communicator.scope["user"] = user
    return communicator


async def in_database(work: Callable[..., Any], *arguments: Any) -> Any:
    return await database_sync_to_async(work)(*arguments)


async def test_a_required_second_step_comes_before_what_happens_live(settings: Settings) -> None:
    settings.CONFIG = settings.CONFIG.model_copy(update={"two_step_roles": frozenset({"viewer"})})
    browser = socket_of(await in_database(viewer))
    assert await browser.connect() == (False, 4403)


def change(enabled: bool) -> None:
    with transaction.atomic():
        set_enabled("greet", enabled, BOX, datetime.now(UTC))


async def changes(browser: WebsocketCommunicator, wanted: int) -> tuple[list[str], str]:
    """The changes of tasks in what comes next, until there are ``wanted``; and the position then."""
    found: list[str] = []
    while True:
        message = await browser.receive_json_from(timeout=8)
        found += [e["data"]["change"] for e in message["events"] if e["type"] == "task.changed"]
        if len(found) >= wanted:
            return found, message["cursor"]


async def test_a_stranger_is_turned_away() -> None:
    browser = socket_of(None)
    connected, code = await browser.connect()
    assert (connected, code) == (False, 4401)


async def test_a_browser_that_was_away_catches_up_without_a_gap_or_a_repeat() -> None:
    user = await in_database(viewer)
    start = str(await in_database(current_cursor))
    await in_database(apply_text, GREET, "greet.yaml", BOX, datetime.now(UTC))
    first = socket_of(user)
    assert (await first.connect())[0]
    await first.send_json_to({"after": start})
    seen, position = await changes(first, 1)
    assert seen == ["created"]
    await first.disconnect()
    await in_database(change, False)
    await in_database(change, True)
    second = socket_of(user)
    assert (await second.connect())[0]
    await second.send_json_to({"after": position})
    assert (await changes(second, 2))[0] == ["disabled", "enabled"]
    await second.disconnect()


async def sent(user: User, *messages: Any) -> list[WebsocketCommunicator]:
    """For each message a browser that has sent it."""
    browsers = [socket_of(user) for _ in messages]
    for browser, message in zip(browsers, messages, strict=True):
        assert (await browser.connect())[0]
        await browser.send_json_to(message)
    return browsers


async def test_a_position_that_nobody_gave_out_means_now() -> None:
    user = await in_database(viewer)
    await in_database(apply_text, GREET, "greet.yaml", BOX, datetime.now(UTC))
    nonsense: list[Any] = ["", "x", "9" * 60, "999999999999999-1", "1-", None, [], {}]
    browsers = await sent(user, *({"after": one} for one in nonsense))
    assert await asyncio.gather(*(browser.receive_nothing(0.5) for browser in browsers)) == [True] * 8
    await in_database(change, False)
    for browser, one in zip(browsers, nonsense, strict=True):
        assert (await changes(browser, 1))[0] == ["disabled"], one
        await browser.disconnect()


async def test_messages_that_mean_nothing_are_passed_over() -> None:
    nonsense = [[1], "text", 7, {"watch": "not-a-run"}, {"watch": None}, {"other": 1}]
    browsers = await sent(await in_database(viewer), *nonsense)
    assert await asyncio.gather(*(browser.receive_nothing(0.2) for browser in browsers)) == [True] * 6
    for browser in browsers:
        await browser.disconnect()


async def test_output_of_a_run_comes_only_to_those_who_watch_it() -> None:
    user = await in_database(viewer)
    await in_database(apply_text, GREET, "greet.yaml", BOX, datetime.now(UTC))
    run_id = str(await in_database(start_task, "greet", BOX, datetime.now(UTC)))
    watching, passing = socket_of(user), socket_of(user)
    for browser in (watching, passing):
        assert (await browser.connect())[0]
    await watching.send_json_to({"watch": run_id})
    layer = get_channel_layer()
    assert layer is not None
    assert (await watching.receive_json_from(timeout=5)) == {"watched": run_id}
    message = {"type": "run.output", "run": run_id, "step": "a", "life": "x", "text": "half way"}
    await layer.group_send(f"run.{run_id}", message)
    assert (await watching.receive_json_from(timeout=5))["output"]["text"] == "half way"
    assert await passing.receive_nothing(0.2)
    await watching.disconnect()
    await passing.disconnect()
