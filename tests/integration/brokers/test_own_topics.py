"""The box's own topics: what happened goes out, commands come in, and nothing goes round in circles."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.bus.client import BusClient
from appliance.bus.errors import BusAway
from appliance.bus.ports import Delivery, Message
from appliance.bus.window import Held
from appliance.devices import services as devices
from appliance.devices.errors import DeviceRefused
from appliance.events import FeedMessage, RunChanged
from appliance.events.services import record_many_async
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.config import Config, get_config
from appliance.processes.events_out import EventsOut
from appliance.processes.own_topics import OwnTopics
from appliance.runs.intake import LONGEST_CHAIN, Intake
from appliance.tasks.arming import load_table
from appliance.tasks.loader import TaskFileError
from appliance.tasks.services import find
from tests.brokers import Nats
from tests.desk import Desk, Inbox
from tests.integration.devices.conftest import box
from tests.integration.runs.conftest import Engine
from tests.wait import wait_for_async

__all__ = ["box"]

TASK = """
- name: greet
  trigger: manual
  vars: {who: nobody}
  actions: [{id: say, type: set, value: "hello {{ vars.who }}"}]
- name: deploy
  principal: engineer
  trigger: manual
  actions: [{id: ask, type: sql, query: "SELECT 1"}]
"""
GREET = TASK.partition("- name: deploy")[0]


@dataclass
class House:
    """The half of a reactor that is about the box's own topics, on the embedded broker with its accounts."""

    engine: Engine
    broker: Nats
    config: Config
    desk: Desk
    hinted: list[UUID] = field(default_factory=list)

    async def start(self) -> None:
        self.id = self.config.home.id
        (row,) = await self.engine.sql("SELECT coalesce(max(seq), 0) AS seq FROM audit_record")
        self.first_record = row["seq"]
        self.out = await self.desk.client("out", clean=True)
        self.own = OwnTopics(self.id, self.out, SystemClock(), self.hinted.extend, "1")
        self.intake = Intake(self.engine.pool, self.engine.clock, self.hinted.extend)
        self.answering = asyncio.create_task(self.own.run())
        self.intake.table = await sync_to_async(load_table)()
        self.inbound = BusClient(self.broker.url, "reactor", clean=False, box="test", on_batch=self.take)
        await self.inbound.set_filters({"#"})
        await self.inbound.start()
        await self.inbound.wait_connected(10)

    async def take(self, deliveries: list[Delivery]) -> None:
        """As the reactor does."""
        others = self.own.sift(deliveries)
        if others:
            await self.intake.deliver(others)

    async def stop(self) -> None:
        self.answering.cancel()
        await self.inbound.stop()

    async def account(self, name: str, commands: Role | None = None) -> "Caller":
        made = await sync_to_async(devices.add_device)(name, CONSOLE, commands=commands, config=self.config)
        url = f"mqtt://{name}:{made.password}@127.0.0.1:{self.broker.port}"
        inbox = Inbox()
        root = f"millwright/{self.id}/cmd/+"
        filters = {f"{root}/reply", f"{root}/{name}/reply"} if commands else None
        client = await self.desk.client(name, url=url, box=None, inbox=inbox, filters=filters)
        return Caller(self, name, client, inbox)

    async def audited(self, kind: str) -> list[dict[str, Any]]:
        """Records of this test, in order: the chain is never emptied."""
        return await self.engine.sql(
            "SELECT principal, body::jsonb -> 'detail' AS detail FROM audit_record "
            "WHERE kind = %s AND seq > %s ORDER BY seq",
            kind,
            self.first_record,
        )


@dataclass
class Caller:
    house: House
    name: str
    client: BusClient
    inbox: Inbox

    async def send(self, command: str, body: Any, *, retain: bool = False) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.publish(f"millwright/{self.house.id}/cmd/{command}", payload, retain=retain)

    async def ask(self, command: str, body: Any, **how: bool) -> Any:
        """The answer that comes next."""
        before = len(self.inbox.deliveries)
        await self.send(command, body, **how)
        await wait_for_async(lambda: len(self.inbox.deliveries) > before)
        message = self.inbox.deliveries[before].message
        assert message.topic == f"millwright/{self.house.id}/cmd/{command}/reply"
        return json.loads(message.payload)


@pytest.fixture
async def house(engine: Engine, box: tuple[Nats, Config]) -> AsyncIterator[House]:
    broker, config = box
    await engine.load(GREET)
    async with Desk(broker.url) as desk:
        made = House(engine, broker, config, desk)
        await made.start()
        yield made
        await made.stop()


async def test_a_granted_account_runs_cancels_and_asks_and_gets_its_answers(house: House) -> None:
    caller = await house.account("panel", Role.OPERATOR)
    answer = await caller.ask("run", {"id": "a1", "task": "greet", "vars": {"who": "line 1"}})
    assert (answer["id"], answer["ok"]) == ("a1", True)
    run_id = UUID(answer["result"]["run"])
    run = await house.engine.run(run_id)
    assert run["principal"] == "mqtt:panel"
    assert house.hinted == [run_id]
    assert (await caller.ask("status/panel", {"id": "a2"}))["result"]["runs"] == {"queued": 1}
    assert (await house.engine.perform(run_id))["state"] == "succeeded"
    (step,) = await house.engine.sql("SELECT output FROM runs_step WHERE step = 'say'")
    assert step["output"] == "hello line 1"
    again = await caller.ask("run/panel", {"task": "greet"})
    other = again["result"]["run"]
    assert (await caller.ask("cancel", {"run": other}))["ok"]
    assert await house.engine.state(UUID(other)) == "cancelled"
    assert [row["principal"] for row in await house.audited("run.started")][-2:] == ["mqtt:panel"] * 2


async def test_the_same_command_sent_again_does_nothing_and_gets_the_same_answer(house: House) -> None:
    caller = await house.account("panel", Role.OPERATOR)
    first = await caller.ask("run", {"id": "once", "task": "greet"})
    assert await caller.ask("run", {"id": "once", "task": "greet"}) == first
    assert await house.engine.count("runs_run") == 1
    # What failed did nothing, and may be asked again.
    assert not (await caller.ask("run", {"id": "late", "task": "nobody"}))["ok"]
    await house.engine.load(GREET.replace("greet", "nobody"))
    assert (await caller.ask("run", {"id": "late", "task": "nobody"}))["ok"]


async def test_a_role_goes_as_far_as_it_goes_and_what_is_beyond_is_counted_and_audited(house: House) -> None:
    caller = await house.account("panel", Role.OPERATOR)
    answer = await caller.ask("disable", {"id": "x", "task": "greet"})
    assert answer["error"]["code"] == "accounts.not_allowed"
    assert (await sync_to_async(find)("greet")).enabled
    assert house.own.refused == 1
    (record,) = await house.audited("command.refused")
    assert record["principal"] == "mqtt:panel"  # on the address without a name: there is only one it can be
    assert record["detail"]["command"] == "disable"
    engineer = await house.account("console", Role.ENGINEER)
    assert (await engineer.ask("disable/console", {"task": "greet"}))["ok"]
    assert not (await sync_to_async(find)("greet")).enabled
    # On the address that names nobody, each of two may only do what both may.
    assert not (await engineer.ask("enable", {"task": "greet"}))["ok"]
    assert (await engineer.ask("enable/console", {"task": "greet"}))["ok"]


async def test_nobody_commands_without_a_grant_or_under_anothers_name(house: House) -> None:
    ungranted = await house.account("sensor")
    caller = await house.account("panel", Role.OPERATOR)
    await house.account("console", Role.ENGINEER)
    # The broker confirms what it then drops: a permission is no answer to the device.
    await ungranted.send("run", {"task": "greet"})
    await ungranted.send("run/sensor", {"task": "greet"})
    await caller.send("disable/console", {"task": "greet"})
    await caller.client.publish(f"millwright/{house.id}/allstop", b"kill")
    await caller.client.publish(f"millwright/{house.id}/events/run.failed", b"{}")
    await caller.client.publish(f"millwright/{house.id}/cmd/run/reply", b"forged")
    assert (await caller.ask("status", b""))["ok"]
    assert (house.own.done, house.own.refused) == (1, 0)
    assert await house.engine.count("runs_run") == 0
    # The grant is gone: what still reaches the box is refused there.
    granted = house.config
    await sync_to_async(devices.grant_commands)("console", None, CONSOLE, config=granted)
    await house.out.publish(f"millwright/{house.id}/cmd/status/console", b'{"id": "1"}')
    await wait_for_async(lambda: house.own.refused == 1)
    (record,) = await house.audited("command.refused")
    assert record["principal"] == "mqtt:console"


async def test_the_gate_holds_a_run_to_the_present_role_of_the_account_that_started_it(house: House) -> None:
    await house.engine.load("""
- name: tell
  trigger: manual
  actions: [{id: say, type: mqtt, topic: bell, payload: ring}]
""")
    caller = await house.account("panel", Role.OPERATOR)
    started = await caller.ask("run", {"task": "tell"})
    await sync_to_async(devices.grant_commands)("panel", Role.VIEWER, CONSOLE, config=house.config)
    run_id = UUID(started["result"]["run"])
    assert (await house.engine.perform(run_id))["state"] == "failed"
    (step,) = await house.engine.sql("SELECT error FROM runs_step WHERE step = 'say'")
    assert "viewer" in step["error"]
    assert house.engine.world.published == []


@pytest.mark.parametrize(
    ("command", "body", "said"),
    [
        ("run", b"not json", "JSON object"),
        ("run", b"[1]", "JSON object"),
        ("run", {"id": "1"}, "task"),
        ("run", {"id": "1", "task": "nobody"}, "no task"),
        ("run", {"id": "1", "task": "greet", "more": 1}, "more"),
        ("run", b"[" * 60_000, "JSON object"),
        ("cancel", {"run": "x"}, "run"),
        ("fly", {"id": "1"}, "no command fly"),
    ],
)
async def test_a_command_that_cannot_be_meant_is_answered_with_what_is_wrong(
    house: House, command: str, body: Any, said: str
) -> None:
    caller = await house.account("panel", Role.ENGINEER)
    answer = await caller.ask(command, body)
    assert answer["ok"] is False
    assert said in answer["error"]["message"]
    assert house.own.refused == 1
    assert await house.engine.count("runs_run") == 0


async def test_a_retained_command_is_an_old_one_and_is_not_obeyed(house: House) -> None:
    caller = await house.account("panel", Role.OPERATOR)
    await house.inbound.stop()
    await caller.send("run", {"task": "greet"}, retain=True)
    late = BusClient(house.broker.url, "late", clean=True, box=None, on_batch=house.take)
    await late.set_filters({house.own.filter})
    await late.start()
    await wait_for_async(lambda: house.own.refused == 1)
    assert await house.engine.count("runs_run") == 0
    await late.stop()


async def test_only_an_administrator_grants_and_never_to_a_pattern_that_reaches_the_boxs_topics(
    house: House,
) -> None:
    add, engineer = sync_to_async(devices.add_device), Principal("user:e", Role.ENGINEER)
    with pytest.raises(NotAllowed):
        await add("a", engineer, commands=Role.VIEWER, config=house.config)
    await add("a", engineer, config=house.config)
    with pytest.raises(NotAllowed):
        await sync_to_async(devices.grant_commands)("a", Role.VIEWER, engineer, config=house.config)
    with pytest.raises(DeviceRefused, match="with commands"):
        await add("b", CONSOLE, publish=["#"], commands=Role.VIEWER, config=house.config)
    await add("c", CONSOLE, publish=["+/x"], config=house.config)
    with pytest.raises(DeviceRefused, match="with commands"):
        await sync_to_async(devices.grant_commands)("c", Role.VIEWER, CONSOLE, config=house.config)


# --- events --------------------------------------------------------------------------------------------


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
    await wait_for_async(lambda: _followed(out, inbox, 151))
    bodies = [json.loads(one.message.payload) for one in inbox.deliveries]
    assert [body["data"]["run_id"][-3:] for body in bodies[:150]] == [f"{n:03}" for n in range(150)]
    assert [body["seq"] for body in bodies] == sorted(body["seq"] for body in bodies)
    assert inbox.deliveries[0].message.topic == f"millwright/{house.id}/events/run.changed"
    assert inbox.deliveries[0].message.qos == 1
    assert not inbox.deliveries[0].message.retain
    assert bodies[150]["type"] == "feed.message"
    assert "between us" not in str(bodies)
    assert (out.published, out.left_out) == (151, 0)


async def _followed(out: EventsOut, inbox: Inbox, wanted: int) -> bool:
    await out.follow()
    return len(inbox.deliveries) >= wanted


class Away:
    """A broker that is away until told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.sent: list[dict[str, Any]] = []

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout: float = 10.0
    ) -> None:
        if self.away:
            raise BusAway("not now")
        self.sent.append(json.loads(payload))


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


async def test_a_batch_that_is_handed_over_again_repeats_no_command(house: House) -> None:
    """A batch that failed comes again, with the commands in it that were answered meanwhile."""
    caller = await house.account("panel", Role.OPERATOR)
    message = Message(
        f"millwright/{house.id}/cmd/run", b'{"task": "greet"}', 1, False, False, 1, datetime.now(UTC)
    )
    order = Held(message, lambda held: None)
    assert house.own.sift([order]) == []
    await wait_for_async(lambda: len(caller.inbox.deliveries) == 1)
    assert house.own.sift([order]) == []
    assert (await caller.ask("status", b""))["result"]["runs"] == {"queued": 1}
