"""A browser that comes late sees what a running step has written, without a gap and without a double."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import redis
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connections

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.events.hints import Hinter
from appliance.processes.kept_output import OutputShelf, kept_texts, read_kept
from appliance.processes.live_output import LiveOutput
from appliance.runs.services import start_task
from appliance.tasks.services import apply_text
from tests.wait import wait_for_async
from webadmin.consumers.live import LiveConsumer

pytestmark = pytest.mark.django_db(transaction=True)
GREET = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"


@pytest.fixture(autouse=True)
def _no_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


def started() -> tuple[Any, str]:
    apply_text(GREET, "greet.yaml", BOX, datetime.now(UTC))
    user = create_user("vic", "hammer-and-anvil-7", Role.VIEWER, BOX)
    return user, str(start_task("greet", BOX, datetime.now(UTC)))


@pytest.fixture
async def live() -> AsyncIterator[LiveOutput]:
    """The worker's part, on the real Redis."""
    shelf, hinter = OutputShelf(settings.CONFIG.redis_url), Hinter()
    output = LiveOutput(hinter, shelf)
    yield output
    await output.close()
    await hinter.close()
    await shelf.close()


async def late(user: Any, run_id: str) -> WebsocketCommunicator:
    browser = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live")
    browser.scope["user"] = user
    assert (await browser.connect())[0]
    await browser.send_json_to({"watch": run_id})
    return browser


async def read_until(browser: WebsocketCommunicator, end: int) -> list[dict[str, Any]]:
    """What a script would take: chunks it has not yet, up to a position."""
    taken: list[dict[str, Any]] = []
    while not taken or taken[-1]["end"] < end:
        chunk = (await browser.receive_json_from(timeout=8)).get("output")
        if chunk and (not taken or chunk["end"] > taken[-1]["end"]):
            taken.append(chunk)
    return taken


async def test_what_came_before_is_there_at_once(live: LiveOutput) -> None:
    user, run_id = await database_sync_to_async(started)()
    live.emit(run_id, "talk", "stdout", b"line 1\n")
    url = settings.CONFIG.redis_url
    await wait_for_async(lambda: asyncio.to_thread(read_kept, url, run_id), 5)
    browser = await late(user, run_id)
    first = await browser.receive_json_from(timeout=5)
    assert first["output"]["text"] == "line 1\n"
    assert await browser.receive_json_from(timeout=5) == {"watched": run_id}
    await browser.disconnect()


async def test_nothing_is_missing_or_doubled_while_it_goes_on(live: LiveOutput) -> None:
    """The browser comes in the middle of a stream that does not wait for it."""
    user, run_id = await database_sync_to_async(started)()
    lines = [f"line {number}\n".encode() for number in range(120)]
    whole = b"".join(lines)

    async def write() -> None:
        for line in lines:
            live.emit(run_id, "talk", "stdout", line)
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(write())
    await wait_for_async(lambda: asyncio.to_thread(read_kept, settings.CONFIG.redis_url, run_id), 5)
    browser = await late(user, run_id)
    chunks = await read_until(browser, len(whole))
    assert any(chunk.get("kept") for chunk in chunks)
    assert any(not chunk.get("kept") for chunk in chunks)
    assert "".join(chunk["text"] for chunk in chunks).encode() == whole
    assert all(one["end"] == other["after"] for one, other in pairwise(chunks))
    await writing
    await browser.disconnect()


async def test_a_flushed_redis_costs_what_came_before_and_nothing_else(live: LiveOutput) -> None:
    user, run_id = await database_sync_to_async(started)()
    url = settings.CONFIG.redis_url
    live.emit(run_id, "talk", "stdout", b"gone\n")
    await wait_for_async(lambda: asyncio.to_thread(read_kept, url, run_id), 5)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    live.emit(run_id, "talk", "stdout", b"here\n")
    kept = await wait_for_async(lambda: asyncio.to_thread(read_kept, url, run_id), 5)
    assert kept_texts(kept) == {"talk": "\n…\nhere\n"}
    browser = await late(user, run_id)
    assert (await browser.receive_json_from(timeout=5))["output"]["text"] == "here\n"
    await browser.disconnect()


async def test_what_has_ended_expires_soon(live: LiveOutput) -> None:
    _, run_id = await database_sync_to_async(started)()
    live.emit(run_id, "talk", "stdout", b"done\n")
    live.ended(run_id, "talk")
    name = f"mw:output:{run_id}:talk:head"
    with redis.Redis.from_url(settings.CONFIG.redis_url) as client:
        await wait_for_async(lambda: 0 < client.ttl(name) <= 60, 5)


def test_a_redis_that_is_away_keeps_nothing_and_breaks_nothing() -> None:
    assert read_kept("unix:///nowhere/redis.sock", "x") == []
