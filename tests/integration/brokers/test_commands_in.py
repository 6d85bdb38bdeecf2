"""Commands come in over the box's own topics, from accounts that were granted them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.bus.client import BusClient
from appliance.bus.ports import Message
from appliance.bus.window import Held
from appliance.devices import services as devices
from appliance.devices.errors import DeviceRefused
from appliance.tasks.services import find
from tests.integration.brokers.house import GREET, House, house
from tests.integration.devices.conftest import box
from tests.wait import wait_for_async

__all__ = ["box", "house"]


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
