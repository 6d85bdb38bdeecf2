"""What a device's account can and cannot do, on the real broker."""

import asyncio
import json
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.bus.errors import SubscriptionRefused
from appliance.devices import services
from appliance.devices.errors import BrokerNotOurs, DeviceRefused, DeviceUnknown
from appliance.devices.models import Device
from appliance.lib.config import Config
from tests.brokers import Nats
from tests.desk import Desk, Inbox
from tests.wait import wait_for, wait_for_async

pytestmark = pytest.mark.django_db(transaction=True)
in_the_loop = pytest.mark.usefixtures("services_from_the_loop")
Box = tuple[Nats, Config]

add_device = sync_to_async(services.add_device)
revoke_device = sync_to_async(services.revoke_device)


def url_of(broker: Nats, user: str, password: str) -> str:
    return f"mqtt://{user}:{password}@127.0.0.1:{broker.port}"


@in_the_loop
async def test_a_device_uses_its_own_topics_and_what_it_was_granted(box: Box) -> None:
    broker, config = box
    account = await add_device(
        "press-1", CONSOLE, publish=["plant/#"], subscribe=["plant/+/mode"], config=config
    )
    assert account.active
    async with Desk(broker.url) as desk:
        inbox, own = Inbox(), Inbox()
        await desk.client("box", inbox=inbox, filters={"#"})
        url = url_of(broker, "press-1", account.password)
        device = await desk.client(
            "press", url=url, box=None, inbox=own, filters={"devices/press-1/#", "plant/+/mode"}
        )
        assert device.health().refused_filters == frozenset()
        await device.publish("devices/press-1/state", b"1")
        await device.publish("plant/line1/press/temp", b"2")
        writer = await desk.client("writer", clean=True)
        await writer.publish("devices/press-1/cmd", b"3")
        await writer.publish("plant/line1/mode", b"4")
        await wait_for_async(lambda: {"1", "2"} <= set(inbox.payloads))
        await wait_for_async(lambda: {"3", "4"} <= set(own.payloads))


@in_the_loop
async def test_no_device_can_speak_for_the_box_or_for_another_device(box: Box) -> None:
    broker, config = box
    account = await add_device("press-1", CONSOLE, publish=["#"], config=config)
    modest = await add_device("press-2", CONSOLE, config=config)
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        await desk.client("box", inbox=inbox, filters={"millwright/+/cmd/+", "devices/#", "end"})
        first = await desk.client("one", url=url_of(broker, "press-1", account.password), box=None)
        second = await desk.client("two", url=url_of(broker, "press-2", modest.password), box=None)
        # The broker confirms what it then drops: a permission is no answer to the device.
        await first.publish(f"millwright/{config.home.id}/cmd/stop", b"forged")
        await second.publish("devices/press-1/state", b"forged")
        await second.publish("millwright/x/cmd/stop", b"forged")
        await first.publish("end", b"end")
        await wait_for_async(lambda: "end" in inbox.payloads)
        assert inbox.payloads == ["end"]


@in_the_loop
async def test_a_device_cannot_listen_to_others(box: Box) -> None:
    broker, config = box
    account = await add_device("press-1", CONSOLE, config=config)
    async with Desk(broker.url) as desk:
        url = url_of(broker, "press-1", account.password)
        device = await desk.client("one", url=url, box=None, inbox=Inbox(), filters={"plant/#"})
        assert device.health().refused_filters == {"plant/#"}
        with pytest.raises(SubscriptionRefused, match="plant/#"):
            await device.set_filters({"plant/#", "devices/press-1/cmd"})


@in_the_loop
async def test_a_devices_retained_state_is_there_for_those_who_come_later(box: Box) -> None:
    broker, config = box
    account = await add_device("press-1", CONSOLE, config=config)
    async with Desk(broker.url) as desk:
        device = await desk.client("one", url=url_of(broker, "press-1", account.password), box=None)
        await device.publish("devices/press-1/state", b"kept", retain=True)
        inbox = Inbox()
        await desk.client("later", inbox=inbox, filters={"devices/#"})
        await wait_for_async(lambda: inbox.payloads == ["kept"])
        assert inbox.deliveries[0].message.retain


@in_the_loop
async def test_a_revoked_device_is_put_out_at_once_and_stays_out(box: Box) -> None:
    broker, config = box
    account = await add_device("press-1", CONSOLE, config=config)
    async with Desk(broker.url) as desk:
        url = url_of(broker, "press-1", account.password)
        device = await desk.client("one", url=url, box=None)
        assert await revoke_device("press-1", CONSOLE, config=config)
        await wait_for_async(lambda: "refused the log-in" in (device.health().last_error or ""), timeout=15)
        again = await add_device("press-1", CONSOLE, config=config)
        assert again.password != account.password
        anew = await desk.client("anew", url=url_of(broker, "press-1", again.password), box=None)
        assert anew.health().connected
    with pytest.raises(DeviceUnknown):
        await revoke_device("press-9", CONSOLE, config=config)


@in_the_loop
async def test_adding_a_device_does_not_disturb_those_that_are_connected(box: Box) -> None:
    broker, config = box
    account = await add_device("press-1", CONSOLE, config=config)
    async with Desk(broker.url) as desk:
        device = await desk.client("one", url=url_of(broker, "press-1", account.password), box=None)
        await add_device("press-2", CONSOLE, config=config)
        other = await desk.client("probe", clean=True)
        await other.publish("x", b"x")
        assert device.health().connections == 1


def test_only_those_who_may_manage_devices_can(box: Box) -> None:
    _, config = box
    with pytest.raises(NotAllowed):
        services.add_device("press-1", Principal("user:ana", Role.OPERATOR), config=config)
    assert not Device.objects.exists()


def test_a_name_in_use_is_refused_and_a_foreign_broker_is_not_touched(box: Box) -> None:
    _, config = box
    services.add_device("press-1", CONSOLE, config=config)
    with pytest.raises(DeviceRefused):
        services.add_device("press-1", CONSOLE, config=config)
    with pytest.raises(BrokerNotOurs):
        services.add_device("press-2", CONSOLE, config=config.model_copy(update={"embedded": frozenset()}))


def test_the_command_adds_lists_and_revokes(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    _, config = box
    monkeypatch.setattr(services, "get_config", lambda: config)

    def run(*words: str) -> str:
        out = StringIO()
        call_command("devices", *words, stdout=out)
        return out.getvalue()

    added = json.loads(run("add", "press-1", "--publish", "plant/#", "--json"))
    assert added["publish"] == ["devices/press-1/#", "plant/#"]
    assert added["password"]
    assert "password" not in run("list", "--json")
    assert "press-1" in run("list")
    assert json.loads(run("revoke", "press-1", "--json"))["revoked"] is True
    assert json.loads(run("list", "--json")) == []
    assert json.loads(run("list", "--revoked", "--json"))[0]["revoked_at"]
    with pytest.raises(CommandError):
        run("add", "Not A Name")


@in_the_loop
async def test_a_broker_that_does_not_run_learns_of_the_device_at_its_start(box: Box) -> None:
    broker, config = box
    await asyncio.to_thread(broker.stop)
    account = await add_device("press-1", CONSOLE, config=config)
    assert not account.active
    await asyncio.to_thread(broker.start)
    async with Desk(url_of(broker, "press-1", account.password)) as desk:
        await desk.client("one", box=None)


def test_the_accounts_file_is_private(box: Box) -> None:
    broker, config = box
    services.add_device("press-1", CONSOLE, config=config)
    users = config.home.path / "nats" / "users.conf"
    assert users.stat().st_mode & 0o077 == 0
    wait_for(lambda: broker.process is not None and broker.process.poll() is None)
