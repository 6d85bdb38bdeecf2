"""What goes out to a broker beside the box's own, and what a task may say about one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.actions.contract import TargetAway
from appliance.bus.brokers.by_hand import try_broker
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.probe import BrokerSilent
from appliance.bus.brokers.services import find_broker, save_broker, switch_broker
from appliance.bus.errors import BrokerOff, BrokerRefused, BrokerUnknown, BusAway, TopicRefused
from appliance.processes.outgoing import OutgoingBrokers
from appliance.safety import allstop
from appliance.tasks.brokers import remove
from appliance.tasks.loader import TaskFileError
from appliance.tasks.services import set_enabled
from tests.brokers import Broker, free_port
from tests.desk import Desk, Inbox
from tests.integration.brokers.conftest import PLANT, Reception, connect, spec_of
from tests.wait import wait_for_async

TELL = """
- name: t
  trigger: manual
  actions:
    - {id: say, type: mqtt, broker: plant, topic: "bell/{{ 1 + 1 }}", payload: ring}
"""


@pytest.fixture
async def outgoing(reception: Reception) -> AsyncIterator[OutgoingBrokers]:
    made = OutgoingBrokers(reception.engine.pool, reception.config, "worker")
    yield made
    await made.stop()


async def publish(outgoing: OutgoingBrokers, topic: str, payload: bytes, timeout: float = 10) -> None:
    await outgoing.publish(PLANT, topic, payload, qos=1, retain=False, timeout=timeout)


async def test_a_publish_goes_over_that_brokers_own_connection(
    reception: Reception, outgoing: OutgoingBrokers, plant: Broker
) -> None:
    await connect(reception, spec_of(plant))
    async with Desk(plant.url) as desk:
        inbox = Inbox()
        await desk.client("listener", inbox=inbox, filters={"bell/#"})
        await publish(outgoing, "bell/1", b"one")
        await wait_for_async(lambda: inbox.payloads == ["one"])
        first = outgoing._open[PLANT][1]
        await publish(outgoing, "bell/1", b"two")
        assert outgoing._open[PLANT][1] is first
        # The row changes: from the next publish on it is what the row says.
        now = reception.engine.clock.now()
        await sync_to_async(save_broker)(replace(spec_of(plant), prefix="hall", client_id="me"), BOX, now)
        await publish(outgoing, "hall/bell/1", b"three")
        assert outgoing._open[PLANT][1].client_id.startswith("me-worker-")
        await wait_for_async(lambda: inbox.payloads == ["one", "two", "three"])
        with pytest.raises(TopicRefused, match="begin with hall/"):
            await publish(outgoing, "bell/1", b"four")


async def test_a_broker_that_is_off_unknown_or_away_is_said_to_be_so(
    reception: Reception, outgoing: OutgoingBrokers, plant: Broker
) -> None:
    with pytest.raises(BrokerUnknown):
        await publish(outgoing, "a", b"")
    await connect(reception, replace(spec_of(plant), url=f"mqtt://127.0.0.1:{free_port()}"))
    with pytest.raises(BusAway):
        await publish(outgoing, "a", b"", timeout=0.3)
    await sync_to_async(switch_broker)(PLANT, False, BOX, reception.engine.clock.now())
    with pytest.raises(BrokerOff):
        await publish(outgoing, "a", b"")


async def test_a_step_names_its_broker_and_the_run_shows_it(reception: Reception, plant: Broker) -> None:
    await connect(reception, spec_of(plant))
    engine = reception.engine
    run = await engine.perform(await engine.begin(TELL))
    assert run["state"] == "succeeded"
    assert engine.world.published == [("plant#bell/2", b"ring")]
    (step,) = await engine.sql("SELECT input, detail FROM runs_step WHERE step = 'say'")
    assert step["input"]["broker"] == PLANT
    assert step["detail"]["topic"] == "plant#bell/2"


async def test_a_task_is_refused_that_names_a_broker_nobody_connected(
    reception: Reception, plant: Broker
) -> None:
    with pytest.raises(TaskFileError, match=r"there is no broker `plant`.*manage\.py brokers add"):
        await reception.engine.load(TELL)
    await connect(reception, replace(spec_of(plant), prefix="hall"))
    with pytest.raises(TaskFileError) as caught:
        await reception.engine.load(
            """
- name: t
  triggers:
    - mqtt: {topic: "hall/+", broker: plnt}
    - mqtt: {topic: "yard/+", broker: plant}
  actions: [{type: mqtt, broker: plantt, topic: a}]
"""
        )
    problems = {problem.path: problem for problem in caught.value.problems}
    assert problems["[0].triggers[0].mqtt.broker"].hint == "did you mean `plant`?"
    assert problems["[0].actions[0].broker"].line == 6
    assert "begin with hall/" in problems["[0].triggers[1].mqtt.topic"].hint


async def test_a_broker_is_not_removed_while_a_task_names_it(reception: Reception, plant: Broker) -> None:
    await connect(reception, spec_of(plant))
    await reception.engine.load(TELL)
    with pytest.raises(BrokerRefused, match="named by t"):
        await sync_to_async(remove)(PLANT, BOX)
    await sync_to_async(set_enabled)("t", False, BOX, reception.engine.clock.now())
    await sync_to_async(remove)(PLANT, BOX)
    with pytest.raises(BrokerUnknown):
        await sync_to_async(find_broker)(PLANT)


async def test_state_reads_a_topic_of_another_broker_and_never_takes_one_for_the_other(
    reception: Reception, own: Broker, plant: Broker
) -> None:
    await connect(reception, spec_of(plant, filters=["mode"]))
    await reception.load(
        """
- name: t
  triggers: [{id: go, mqtt: {topic: go}, when: "{{ state('plant#mode') == 'auto' }}"}]
  actions: [{id: s, type: set, value: "{{ state('plant#mode') }}/{{ state('mode') }}"}]
"""
    )
    await reception.start()
    await wait_for_async(reception.connected, 15)
    here, there = await reception.client(own.url), await reception.client(plant.url)
    await here.publish("mode", b'"hand"')
    await there.publish("mode", b'"auto"')
    await wait_for_async(
        lambda: reception.engine.count("bus_topicvalue WHERE topic IN ('mode', 'plant#mode')")
    )
    await wait_for_async(lambda: reception.intake.last._known.keys() >= {"mode", "plant#mode"})
    await here.publish("go", b"1")
    await wait_for_async(lambda: reception.runs("t"))
    (row,) = await reception.engine.sql("SELECT id FROM runs_run")
    await reception.engine.perform(row["id"])
    (step,) = await reception.engine.sql("SELECT output FROM runs_step WHERE step = 's'")
    assert step["output"] == "auto/hand"


async def test_the_test_of_a_broker_is_a_real_round_trip(reception: Reception, plant: Broker) -> None:
    await connect(reception, spec_of(plant))
    assert 0 < await sync_to_async(try_broker)(PLANT, BOX) < 5
    reception.engine.clock.advance(timedelta(seconds=1))
    await connect(reception, spec_of(plant), "wrong-password")
    with pytest.raises(BrokerSilent, match="refused the log-in"):
        await sync_to_async(try_broker)(PLANT, BOX)
    nobody = BrokerSpec("nobody", f"mqtt://127.0.0.1:{free_port()}")
    await sync_to_async(save_broker)(nobody, BOX, reception.engine.clock.now())
    with pytest.raises(BusAway, match="no connection"):
        await sync_to_async(try_broker)("nobody", BOX)


async def test_only_those_who_may_manage_brokers_can(reception: Reception, plant: Broker) -> None:
    somebody = Principal("user:op", Role.OPERATOR)
    now = reception.engine.clock.now()
    with pytest.raises(NotAllowed):
        await sync_to_async(save_broker)(spec_of(plant), somebody, now)
    await connect(reception, spec_of(plant))
    for forbidden in (remove, try_broker):
        with pytest.raises(NotAllowed):
            await sync_to_async(forbidden)(PLANT, somebody)


async def test_under_cut_the_connection_is_left_and_opened_anew_after_the_release(
    reception: Reception, outgoing: OutgoingBrokers, plant: Broker
) -> None:
    await connect(reception, spec_of(plant))
    await publish(outgoing, "bell/1", b"one")
    client = outgoing._open[PLANT][1]
    now, ana = reception.engine.clock.now(), Principal("user:ana", Role.ADMIN)
    await sync_to_async(allstop.engage)(allstop.Level.CUT, "leak", BOX, now)
    try:
        await outgoing.obey_stop()
        assert not client.health().connected
        with pytest.raises(TargetAway, match="all-stop"):
            await publish(outgoing, "bell/1", b"two")
    finally:
        await sync_to_async(allstop.release)("over", ana, now)
    await publish(outgoing, "bell/1", b"three")


async def test_whether_a_broker_is_there_is_known_at_once_but_for_the_first_time(
    reception: Reception, outgoing: OutgoingBrokers, plant: Broker
) -> None:
    """Who is about to publish asks that first: what waits is to stand in line, and not in the publish."""
    await connect(reception, spec_of(plant))
    assert await outgoing.reach(PLANT, 0)  # just opened
    assert not await outgoing.reach(PLANT, 0)
    plant.kill()
    await wait_for_async(lambda: not outgoing._open[PLANT][1].is_connected)
    with pytest.raises(BusAway):
        await outgoing.reach(PLANT, 0)
    plant.start()
    assert await outgoing.reach(PLANT, 30)


async def test_a_broker_that_moves_while_it_is_away_is_found(
    reception: Reception, outgoing: OutgoingBrokers, plant: Broker
) -> None:
    await connect(reception, replace(spec_of(plant), url=f"mqtt://127.0.0.1:{free_port()}"))
    with pytest.raises(BusAway):
        await outgoing.reach(PLANT, 0)
    now = reception.engine.clock.now()
    await sync_to_async(save_broker)(spec_of(plant), BOX, now)
    assert await outgoing.reach(PLANT, 0)
