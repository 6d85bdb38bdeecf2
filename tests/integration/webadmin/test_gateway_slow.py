"""A client that does not answer gets no more than the window, is told, and is cut; with another one nothing happens."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.accounts.tokens import issue_api_token
from appliance.events import TaskChanged
from appliance.events.hints import poke_from_thread
from appliance.events.services import record_many
from appliance.lib.in_django import in_django
from tests.visitor import PASSWORD
from webadmin.consumers.gateway import GatewayConsumer
from webadmin.gateway import flow

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = 600


@pytest.fixture(autouse=True)
def _no_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer's threads live on after a test; the database must be free to be dropped."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in life, with a window that a test can fill, and less patience."""
    monkeypatch.setattr(flow, "MARK_EVERY", 8 * 1024)
    monkeypatch.setattr(flow, "WINDOW", 32 * 1024)
    monkeypatch.setattr(flow, "PATIENCE", 1.0)
    monkeypatch.setattr("webadmin.gateway.looking.BATCH", 20)
    # In Django's one thread, whose connection is closed: those of a loop that ends take theirs with them.
    monkeypatch.setattr("webadmin.consumers.gateway.in_thread", in_django)


def issue() -> str:
    return issue_api_token(
        create_user("vic", PASSWORD, Role.VIEWER, BOX), "bot", [Ability.VIEW], BOX, datetime.now(UTC)
    )


def happen() -> None:
    with connections["default"].cursor() as cursor:
        record_many(cursor, [TaskChanged(task=f"t{number}", change="x") for number in range(EVENTS)])
    poke_from_thread()


async def opened() -> WebsocketCommunicator:
    token = await database_sync_to_async(issue)()
    client = WebsocketCommunicator(
        GatewayConsumer.as_asgi(),
        "/ws/gateway",
        headers=[(b"authorization", f"Bearer {token}".encode())],
        subprotocols=["millwright.v1"],
    )
    assert (await client.connect())[0]
    await client.send_json_to({"type": "hello", "version": 1})
    await client.send_json_to({"type": "subscribe", "id": "1", "topics": ["task.changed"]})
    for kind in ("welcome", "subscribed"):
        assert (await client.receive_json_from(timeout=10))["type"] == kind
    await database_sync_to_async(happen)()
    return client


async def test_one_that_does_not_answer_gets_a_window_then_the_reason_then_the_end() -> None:
    client = await opened()
    told, size, code, reason = 0, 0, 0, ""
    while not code:
        output = await client.receive_output(timeout=10)
        if output["type"] == "websocket.close":
            code = output["code"]
            continue
        frame = json.loads(output["text"])
        size += len(output["text"])
        told += len(frame.get("events", ()))
        reason = frame["code"] if frame["type"] == "error" else reason
    assert (reason, code) == ("gateway.slow", 4409)
    assert 0 < told < EVENTS
    assert size < flow.WINDOW + 10_000
    await client.disconnect()


async def test_one_that_answers_gets_everything_in_order() -> None:
    client = await opened()
    seen: list[Any] = []
    while len(seen) < EVENTS:
        frame = await client.receive_json_from(timeout=10)
        if frame["type"] == "heartbeat":
            await client.send_json_to({"type": "heartbeat", "n": frame["n"]})
        seen += [event["data"]["task"] for event in frame.get("events", ())]
    assert seen == [f"t{number}" for number in range(EVENTS)]
    await client.disconnect()
