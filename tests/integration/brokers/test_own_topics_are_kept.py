"""The box's account publishes for people and tasks, but not where orders to the box come in."""

from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.bus.brokers.by_hand import publish_by_hand
from appliance.bus.errors import TopicRefused
from appliance.processes.outgoing import OutgoingBrokers
from appliance.processes.parts import BoxServices
from appliance.sandbox.process.client import ProcessSandbox
from tests.desk import Inbox
from tests.integration.brokers.house import House, house
from tests.integration.devices.conftest import box
from tests.integration.runs.reflex.conftest import MakeReactor, letter, reactor
from tests.wait import wait_for_async

__all__ = ["box", "house", "reactor"]

ENGINEER = Principal("user:eve", Role.ENGINEER)
ORDERS = ("cmd/run/console", "cmd/run/console/reply", "allstop", "status", "events/run.failed")
FROM_A_WORKER = """
- name: t
  principal: engineer
  trigger: manual
  vars: {to: ""}
  actions: [{id: say, type: mqtt, topic: "{{ vars.to }}", payload: kill}]
"""
FROM_THE_LANE = """
- name: r
  principal: engineer
  trigger: {mqtt: {topic: in, payload: json}}
  actions: [{id: say, type: mqtt, topic: "{{ payload.to }}", payload: kill}]
"""


@pytest.fixture
async def inbox(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Inbox]:
    """Everything that somebody hears who listens to everything; steps act as they do in a process of the box."""
    brokers = OutgoingBrokers(house.engine.pool, house.config, "worker")
    sandbox = ProcessSandbox(house.config.home.spawner_socket)
    monkeypatch.setattr(
        house.engine.world, "publish", BoxServices(house.id, house.out, sandbox, brokers).publish
    )
    heard = Inbox()
    await house.desk.client("listener", inbox=heard, filters={"#"})
    yield heard
    await brokers.stop()


async def nothing_but(house: House, inbox: Inbox, topics: list[str]) -> None:
    """What was published before this has come when this has."""
    await house.out.publish("end", b"")
    await wait_for_async(lambda: any(one.message.topic == "end" for one in inbox.deliveries))
    assert [one.message.topic for one in inbox.deliveries] == [*topics, "end"]


async def told(house: House, topic: str) -> str:
    """How a run of a worker ends that publishes there."""
    run_id = await house.engine.start("t", {"vars": {"to": topic}})
    return str((await house.engine.perform(run_id))["state"])


async def test_no_step_of_a_worker_publishes_there(house: House, inbox: Inbox) -> None:
    await house.engine.load(FROM_A_WORKER)
    for tail in ORDERS:
        assert await told(house, f"millwright/{house.id}/{tail}") == "failed"
    errors = await house.engine.sql("SELECT error FROM runs_step")
    assert len(errors) == len(ORDERS)
    assert all("one of the box's own" in row["error"] for row in errors), errors
    others = ["bell", "millwright/another/allstop", f"millwright/{house.id}x/allstop"]
    for topic in others:
        assert await told(house, topic) == "succeeded"
    await nothing_but(house, inbox, others)


async def test_no_step_of_the_reflex_lane_publishes_there(
    house: House, inbox: Inbox, reactor: MakeReactor
) -> None:
    here = await reactor(FROM_THE_LANE)
    await here.deliver(*(letter("in", {"to": f"millwright/{house.id}/{tail}"}) for tail in ORDERS))
    await here.deliver(letter("in", {"to": "bell"}))
    await here.settle()
    states = await house.engine.sql("SELECT state, count(*) AS n FROM runs_run GROUP BY state ORDER BY state")
    assert [(row["state"], row["n"]) for row in states] == [("failed", len(ORDERS)), ("succeeded", 1)]
    await nothing_but(house, inbox, ["bell"])


async def test_nobody_publishes_there_by_hand(
    house: House, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = house.config.model_copy(update={"mqtt_url": house.broker.url})
    monkeypatch.setattr("appliance.bus.brokers.by_hand.get_config", lambda: config)
    for tail in ORDERS:
        with pytest.raises(TopicRefused, match="the box's own"):
            await sync_to_async(publish_by_hand)(f"millwright/{house.id}/{tail}", b"kill", ENGINEER)
    assert await sync_to_async(publish_by_hand)("bell", b"ring", ENGINEER) == "bell"
    await nothing_but(house, inbox, ["bell"])
