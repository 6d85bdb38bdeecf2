"""What happened goes out over the box's own topics, and nothing goes round in circles."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.bus.errors import BusAway
from appliance.events import ConversationSaid, FeedMessage, RunChanged, TurnEnded
from appliance.events.services import record_many_async
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.config import get_config
from appliance.processes.events_out import EventsOut
from appliance.runs.intake import LONGEST_CHAIN
from appliance.tasks.arming import load_table
from appliance.tasks.loader import TaskFileError
from tests.desk import Inbox
from tests.integration.brokers.house import House, house
from tests.integration.devices.conftest import box
from tests.integration.runs.conftest import Engine
from tests.wait import wait_for_async

__all__ = ["box", "house"]


def changed(number: int, run_id: str = "") -> RunChanged:
    return RunChanged(run_id=run_id or f"00000000-0000-7000-8000-{number:012}", task="t", state="failed")


async def say(engine: Engine, *events: Any) -> None:
    async with engine.pool.connection() as connection:
        await record_many_async(connection, events)


async def test_every_event_goes_out_in_order_with_its_number_and_without_chat_texts(house: House) -> None:
    inbox = Inbox()
    await house.desk.client("mirror", inbox=inbox, filters={f"millwright/{house.id}/events/#"})
    out = EventsOut(house.engine.pool, house.out, house.id, SystemClock())
    await out.follow()  # from now on
    await say(house.engine, *(changed(n) for n in range(150)))
    await say(
        house.engine, FeedMessage(message_id="m", conversation="own/ana", text="between us", author="ana")
    )
    told = ConversationSaid(conversation_id=4, people=["ana"], text="between us", speaker="person")
    ended = TurnEnded(conversation_id=4, people=["ana"], turn=1, say="between us", done=True)
    await say(house.engine, told, ended)
    await wait_for_async(lambda: _followed(out, inbox, 153))
    bodies = [json.loads(one.message.payload) for one in inbox.deliveries]
    assert [body["data"]["run_id"][-3:] for body in bodies[:150]] == [f"{n:03}" for n in range(150)]
    assert [body["seq"] for body in bodies] == sorted(body["seq"] for body in bodies)
    assert inbox.deliveries[0].message.topic == f"millwright/{house.id}/events/run.changed"
    assert inbox.deliveries[0].message.qos == 1
    assert not inbox.deliveries[0].message.retain
    assert bodies[150]["type"] == "feed.message"
    assert "between us" not in str(bodies)
    assert bodies[152]["data"].keys() == {"type", "conversation_id", "run_id", "turn", "done"}
    assert (out.published, out.left_out) == (153, 0)


async def _followed(out: EventsOut, inbox: Inbox, wanted: int) -> bool:
    await out.follow()
    return len(inbox.deliveries) >= wanted


class Away:
    """A broker that is away until told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.last = 0
        """How many more messages it takes before it is away, if not 0."""
        self.sent: list[dict[str, Any]] = []

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout: float = 10.0
    ) -> None:
        if self.away:
            raise BusAway("not now")
        self.sent.append(json.loads(payload))
        self.last -= 1
        self.away = self.last == 0


async def test_what_waits_for_a_broker_goes_out_later_and_what_is_too_old_is_counted(engine: Engine) -> None:
    bus, clock = Away(), ManualClock(datetime.now(UTC))
    out = EventsOut(engine.pool, bus, "b", clock)
    await out.follow()
    await say(engine, changed(1), changed(2))
    await out.follow()
    bus.away = False
    await wait_for_async(lambda: _sent(out, bus, 2))
    assert [one["data"]["run_id"][-1] for one in bus.sent] == ["1", "2"]
    bus.away = True
    await say(engine, *(changed(n) for n in range(3, 10)))
    await out.follow()
    clock.advance(timedelta(minutes=5))
    bus.away = False
    await wait_for_async(lambda: _left_out(out, 7))
    assert len(bus.sent) == 2
    clock.advance(timedelta(minutes=-5))
    await say(engine, changed(10))
    await wait_for_async(lambda: _sent(out, bus, 3))
    assert bus.sent[2]["left_out"] == 7


async def test_a_broker_that_goes_away_in_the_middle_gets_the_rest_later_and_in_order(engine: Engine) -> None:
    bus = Away()
    out = EventsOut(engine.pool, bus, "b", SystemClock())
    await out.follow()
    await say(engine, *(changed(n) for n in range(1, 8)))
    bus.away, bus.last = False, 3
    await wait_for_async(lambda: _sent(out, bus, 3))
    bus.away, bus.last = False, 0
    await wait_for_async(lambda: _sent(out, bus, 7))
    assert [one["data"]["run_id"][-1] for one in bus.sent] == ["1", "2", "3", "4", "5", "6", "7"]
    assert (out.published, out.left_out) == (7, 0)


async def _sent(out: EventsOut, bus: Away, wanted: int) -> bool:
    await out.follow()
    return len(bus.sent) >= wanted


async def _left_out(out: EventsOut, wanted: int) -> bool:
    await out.follow()
    return out.left_out >= wanted


async def test_the_rate_of_events_is_bounded(engine: Engine) -> None:
    bus, clock = Away(), SystemClock()
    bus.away = False
    out = EventsOut(engine.pool, bus, "b", clock, rate=20.0, burst=10.0)
    await out.follow()
    await say(engine, *(changed(n) for n in range(30)))
    began = clock.monotonic()
    await wait_for_async(lambda: _sent(out, bus, 30), 20)
    # Ten at once, the other twenty at twenty a second: never sooner, however fast the machine is.
    assert clock.monotonic() - began >= 0.9


async def test_what_the_box_says_itself_starts_nothing(house: House) -> None:
    await house.engine.load("""
- name: echo
  triggers: [{id: any, mqtt: {topic: "#", payload: text}}, {id: mine, mqtt: {topic: "millwright/+/events/#"}}]
  actions: [{type: set, value: 1}]
""")
    house.intake.table = await sync_to_async(load_table)()
    out = EventsOut(house.engine.pool, house.out, house.id, SystemClock())
    await out.follow()
    await say(house.engine, *(changed(n) for n in range(5)))
    caller = await house.account("panel", Role.OPERATOR)
    await wait_for_async(lambda: _published(out, 5))
    assert (await caller.ask("status", b""))["ok"]
    await house.out.publish("plant/end", b"1")
    await wait_for_async(lambda: house.engine.count("runs_run"))
    rows = await house.engine.sql("SELECT inputs ->> 'topic' AS topic FROM runs_run")
    assert [row["topic"] for row in rows] == ["plant/end"]
    assert await house.engine.count("bus_topicvalue WHERE topic LIKE 'millwright/%%'") == 0
    assert house.own.own >= 6


async def _published(out: EventsOut, wanted: int) -> bool:
    await out.follow()
    return out.published >= wanted


async def test_a_trigger_on_the_boxs_own_events_is_refused_with_the_way_that_works(engine: Engine) -> None:
    own = get_config().home.id
    with pytest.raises(TaskFileError, match=r"event: run\.failed"):
        await engine.load(f"""
- name: t
  trigger: {{mqtt: {{topic: "millwright/{own}/events/#"}}}}
  actions: [{{type: set, value: 1}}]
""")


async def test_boxes_that_start_each_other_by_their_events_are_cut(house: House) -> None:
    """Another box's events come with the length of their chain, and this box's go out with theirs."""
    await house.engine.load("""
- name: echo
  triggers: [{id: other, mqtt: {topic: "millwright/other/events/run.changed", payload: json}}]
  actions: [{type: set, value: 1}]
""")
    house.intake.table = await sync_to_async(load_table)()
    bus = Away()
    bus.away = False
    out = EventsOut(house.engine.pool, bus, house.id, SystemClock())
    await out.follow()
    for length in range(LONGEST_CHAIN + 3):
        body = json.dumps({"type": "run.changed", "chain": length}).encode()
        await house.out.publish("millwright/other/events/run.changed", body)
    await wait_for_async(lambda: house.engine.count("tasks_tasktrigger WHERE failed = 3"))
    rows = await house.engine.sql("SELECT (inputs ->> 'chain')::int AS n FROM runs_run ORDER BY n")
    assert [row["n"] for row in rows] == list(range(1, LONGEST_CHAIN + 1))
    await wait_for_async(lambda: _sent(out, bus, 2 * LONGEST_CHAIN))
    queued = {one["chain"] for one in bus.sent if one["type"] == "run.changed"}
    assert queued == set(range(1, LONGEST_CHAIN + 1))
