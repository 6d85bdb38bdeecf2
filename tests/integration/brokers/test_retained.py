"""What the broker keeps is said again at each new subscription: it is as old as it was, or nobody knows how old."""

from datetime import timedelta
from typing import Any

from appliance.bus.client import BusClient
from appliance.bus.services import read_state
from appliance.lib.clock import SystemClock
from appliance.lib.jsontypes import JsonValue
from tests.integration.brokers.conftest import Reception
from tests.wait import wait_for_async

TASK = """
- name: other
  triggers: [{id: t, mqtt: {topic: other}}]
  actions: [{type: set, value: 1}]
"""
AGE = timedelta(hours=1)


async def heard(reception: Reception, times: int) -> dict[str, Any]:
    """The kept row of the mode, when it has come so often."""
    await wait_for_async(
        lambda: reception.engine.count(f"bus_topicvalue WHERE topic = 'mode' AND count = {times}"), 15
    )
    (row,) = await reception.engine.sql("SELECT at, retained, value FROM bus_topicvalue WHERE topic = 'mode'")
    return row


async def connect_anew(reception: Reception) -> None:
    """A session that the broker knows nothing of: it subscribes, and is told what is kept."""
    await reception.own.stop()
    reception.own = BusClient(
        reception.config.mqtt_url, "reactor-clean", clean=True, box="b", on_batch=reception.intake.deliver
    )
    await reception.own.start()
    await reception.own.wait_connected(15)
    await reception.own.set_filters({"#"})


async def both(reception: Reception) -> tuple[JsonValue, JsonValue]:
    """The mode that is at most an hour old: as the table has it, and as the reactor's memory has it."""
    now = SystemClock().now()
    async with reception.engine.pool.connection() as connection:
        stored = await read_state(connection, "mode", AGE, now)
    return stored, reception.intake.last.reader(now)("mode", AGE)


async def test_a_reconnect_makes_no_kept_message_recent(reception: Reception) -> None:
    device = await reception.client(reception.config.mqtt_url)
    await device.publish("mode", b'"auto"', retain=True)  # nobody of the box hears it
    await reception.load(TASK)
    await reception.start()
    assert (await heard(reception, 1))["retained"], "the broker says what it keeps"
    assert await both(reception) == (None, None)
    await device.publish("mode", b'"auto"', retain=True)
    live = await heard(reception, 2)
    assert not live["retained"], "this one came as it was said"
    assert await both(reception) == ("auto", "auto")
    await connect_anew(reception)
    again = await heard(reception, 3)
    assert (again["retained"], again["at"]) == (True, live["at"])
    assert await both(reception) == ("auto", "auto")
    await reception.own.stop()
    await device.publish("mode", b'"manual"', retain=True)
    await connect_anew(reception)
    changed = await heard(reception, 4)
    assert (changed["retained"], changed["value"]) == (True, "manual")
    assert await both(reception) == (None, None)
