"""Brokers beside the box's own: events of both start tasks, and neither waits for the other."""

import logging
import socket
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import forget_broker, save_broker, switch_broker
from appliance.bus.errors import BusAway
from appliance.bus.ports import Delivery
from appliance.processes.brokers import InboundBrokers
from appliance.safety import allstop
from appliance.safety.secrets import set_secret
from tests.brokers import PASSWORD, Broker
from tests.integration.brokers.conftest import PLANT, Reception, connect, spec_of
from tests.wait import wait_for_async

TASKS = """
- name: here
  triggers: [{id: t, mqtt: {topic: "line/{n}", payload: json}}]
  actions: [{type: set, value: 1}]
- name: there
  triggers: [{id: t, mqtt: {topic: "line/{n}", payload: json, broker: plant}}]
  actions: [{type: set, value: 1}]
"""


async def ready(reception: Reception, plant: Broker, spec: BrokerSpec | None = None) -> None:
    await connect(reception, spec or spec_of(plant))
    await reception.load(TASKS)
    await reception.start()
    await wait_for_async(reception.connected, 15, "the further broker is connected")


async def test_events_of_both_brokers_start_tasks_and_are_told_apart(
    reception: Reception, own: Broker, plant: Broker
) -> None:
    await ready(reception, plant, spec_of(plant, filters=["mode"]))
    here, there = await reception.client(own.url), await reception.client(plant.url)
    await here.publish("line/1", b"1")
    await there.publish("line/2", b"2")
    await there.publish("mode", b'"auto"')
    await wait_for_async(lambda: reception.runs("here"))
    await wait_for_async(lambda: reception.runs("there"))
    rows = await reception.engine.sql(
        "SELECT t.name, r.inputs -> 'captures' ->> 'n' AS n, r.inputs -> 'event' ->> 'broker' AS broker "
        "FROM runs_run r JOIN tasks_task t ON t.id = r.task_id ORDER BY t.name"
    )
    assert rows == [
        {"name": "here", "n": "1", "broker": None},
        {"name": "there", "n": "2", "broker": PLANT},
    ]
    await wait_for_async(lambda: reception.engine.count("bus_topicvalue WHERE topic = 'plant#mode'"))
    topics = await reception.engine.sql("SELECT topic FROM bus_topicvalue ORDER BY topic")
    assert [row["topic"] for row in topics] == ["line/1", "plant#line/2", "plant#mode"]


async def test_what_no_try_can_handle_is_kept_under_its_broker_and_the_topic_of_the_box(
    reception: Reception, plant: Broker
) -> None:
    async def refuse(deliveries: list[Delivery]) -> None:
        raise ValueError("a fault of the box")

    reception.brokers = InboundBrokers(reception.engine.pool, reception.config, refuse)
    await connect(reception, replace(spec_of(plant, filters=["#"]), prefix="hall"))
    await reception.load(TASKS.partition("- name: there")[0])
    await reception.start()
    await wait_for_async(reception.connected, 15, "the further broker is connected")
    await (await reception.client(plant.url)).publish("line/2", b"2")
    await wait_for_async(lambda: reception.engine.count("bus_setaside"), 15, "it is set aside")
    (row,) = await reception.engine.sql("SELECT broker, topic, payload, reason FROM bus_setaside")
    assert (row["broker"], row["topic"], row["payload"]) == (PLANT, "hall/line/2", b"2")
    assert "a fault of the box" in row["reason"]


async def test_a_broker_that_dies_loses_nothing_that_it_had_acknowledged(
    reception: Reception, plant: Broker
) -> None:
    await ready(reception, plant)
    device = await reception.client(plant.url)
    await device.publish("line/0", b"0")
    await wait_for_async(lambda: reception.runs("there"))
    await reception.brokers.stop()  # what comes now waits at the broker, in our session
    for number in range(1, 30):
        payload = b"%d0000" % number
        await device.publish(f"line/{number}", payload)
        await wait_for_async(partial(plant.has_saved, payload))
    plant.kill()
    reception.live_again()
    await reception.sync()
    await wait_for_async(lambda: reception.message(), 15)
    assert await reception.runs("there") == 1
    plant.start()
    await wait_for_async(lambda: _all_there(reception, 30), 30)
    assert await reception.runs("there") == 30


async def _all_there(reception: Reception, wanted: int) -> bool:
    return await reception.runs("there") >= wanted


async def test_one_that_dies_while_messages_come_is_taken_up_again(
    reception: Reception, plant: Broker
) -> None:
    await ready(reception, plant)
    device = await reception.client(plant.url)
    taken: list[int] = []
    for number in range(40):
        if number == 20:
            plant.kill()
            plant.start()
        try:
            await device.publish(f"line/{number}", b"1", timeout=15)
        except BusAway:
            continue
        taken.append(number)
    assert len(taken) > 30

    # Mosquitto confirms before it saves: what it confirmed in the last moment before kill -9 is its own to lose.
    safe = {number for number in taken if number < 18 or number >= 20}
    await wait_for_async(lambda: _covers(reception, safe), 30)


async def _seen(reception: Reception) -> set[int]:
    rows = await reception.engine.sql("SELECT (inputs -> 'captures' ->> 'n')::int AS n FROM runs_run")
    return {row["n"] for row in rows}


async def _covers(reception: Reception, wanted: set[int]) -> bool:
    return wanted <= await _seen(reception)


@pytest.mark.parametrize("how", ["refuses connections", "never answers"])
async def test_one_that_is_away_does_not_hold_up_the_own_broker(
    reception: Reception, own: Broker, plant: Broker, how: str
) -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        if how == "never answers":
            hanging.listen()
        dead = BrokerSpec("dead", f"mqtt://127.0.0.1:{hanging.getsockname()[1]}", filters=("#",))
        await connect(reception, dead, "")
        await ready(reception, plant)
        here, there = await reception.client(own.url), await reception.client(plant.url)
        for number in range(20):
            await here.publish(f"line/{number}", b"1")
            await there.publish(f"line/{number}", b"1")
        await wait_for_async(lambda: _both(reception, 20), 10)
        assert not reception.connected("dead")
        # Rows and triggers go on being followed, too.
        await sync_to_async(forget_broker)("dead", BOX)
        await reception.sync()
        assert set(reception.brokers.health()) == {PLANT}


async def _both(reception: Reception, wanted: int) -> bool:
    return await reception.runs("here") == await reception.runs("there") == wanted


async def test_a_prefix_names_the_topics_as_the_box_writes_them(reception: Reception, plant: Broker) -> None:
    await connect(reception, replace(spec_of(plant), prefix="hall/7"))
    await reception.load(TASKS.replace('"line/{n}", payload: json, broker', '"hall/+/line/{n}", broker'))
    await reception.start()
    await wait_for_async(reception.connected, 15)
    assert reception.brokers.health()[PLANT][1]["filters"] == ["line/+"]
    device = await reception.client(plant.url)
    await device.publish("line/3", b"1")
    await wait_for_async(lambda: reception.runs("there"))
    assert await reception.engine.count("bus_topicvalue WHERE topic = 'plant#hall/7/line/3'") == 1


async def test_changed_rows_count_without_a_restart(reception: Reception, plant: Broker) -> None:
    await ready(reception, plant)
    now = reception.engine.clock.now()
    device = await reception.client(plant.url)
    await sync_to_async(save_broker)(spec_of(plant, filters=["news/#"]), BOX, now)
    await reception.sync()
    await wait_for_async(lambda: reception.brokers.health()[PLANT][1]["filters"] == ["line/+", "news/#"])
    await sync_to_async(switch_broker)(PLANT, False, BOX, now)
    await reception.sync()
    assert reception.brokers.health() == {}
    await wait_for_async(lambda: not reception.brokers._leaving, 15)
    await device.publish("line/9", b"1")  # nobody is there for it: the session was given up
    await sync_to_async(switch_broker)(PLANT, True, BOX, now)
    await reception.sync()
    await wait_for_async(reception.connected, 15)
    await device.publish("line/10", b"1")
    await wait_for_async(lambda: reception.runs("there"))
    rows = await reception.engine.sql("SELECT inputs -> 'captures' ->> 'n' AS n FROM runs_run")
    assert [row["n"] for row in rows] == ["10"]


async def test_a_wrong_password_is_said_never_shown_and_mended_in_the_secret(
    reception: Reception, plant: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "a-wrong-password-4711"
    await connect(reception, spec_of(plant), wrong)
    await reception.load(TASKS)
    await reception.start()
    await wait_for_async(lambda: "refused" in reception.message(), 15)
    assert "Not authorized" in reception.message()
    reception.engine.clock.advance(timedelta(seconds=1))
    await sync_to_async(set_secret)(f"broker-{PLANT}", PASSWORD, BOX, reception.engine.clock.now())
    await wait_for_async(lambda: _synced(reception), 20)
    said = caplog.text + repr(reception.brokers.health()) + repr(reception.brokers._links)
    assert wrong not in said
    assert PASSWORD not in said


async def _synced(reception: Reception) -> bool:
    await reception.sync()
    return reception.connected()


async def test_a_secret_that_is_missing_is_said(reception: Reception, plant: Broker) -> None:
    spec = replace(spec_of(plant), password="secret:nobody-set-it")
    await sync_to_async(save_broker)(spec, BOX, reception.engine.clock.now())
    await reception.sync()
    await wait_for_async(lambda: "nobody-set-it" in reception.message())


async def test_under_cut_the_broker_is_left_and_what_came_meanwhile_is_delivered_after_the_release(
    reception: Reception, plant: Broker
) -> None:
    await ready(reception, plant)
    there = await reception.client(plant.url)
    now, ana = reception.engine.clock.now(), Principal("user:ana", Role.ADMIN)
    await sync_to_async(allstop.engage)(allstop.Level.CUT, "leak", BOX, now)
    try:
        await reception.sync()
        assert not reception.connected()
        await there.publish("line/1", b"1")
        assert not await reception.runs("there")
    finally:
        await sync_to_async(allstop.release)("over", ana, now)
    await reception.sync()
    await wait_for_async(lambda: reception.runs("there"), 20)
