"""A connection is a lease: whoever dies gives it back, and nothing has to be cleaned up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.inference.backends.contract import Readiness, Sign
from appliance.inference.client import KeeperClient
from appliance.inference.domain import InstanceState
from appliance.inference.errors import KeeperAway, ModelBusy, ModelUnavailable, ModelUnknown
from appliance.inference.leases import Order, Over, Verb, Waiting, Wish
from appliance.inference.scheduling import keeper
from appliance.inference.scheduling.ports import Served
from appliance.inference.scheduling.server import KeeperServer
from tests.engine_room import Room, Shelf, served
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
WISH = Wish(model="a", principal="user:ana")


@asynccontextmanager
async def door(folder: Path, *models: Served) -> AsyncIterator[tuple[Room, KeeperClient]]:
    socket = folder / "keeper.sock"
    async with Room(*models) as room:
        serving = asyncio.create_task(KeeperServer(room.keeper, socket).serve())
        await wait_for_async(socket.exists)
        yield room, KeeperClient(socket)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def connections(folder: Path) -> int:
    """How many the keeper has, by the kernel's list: its end of each has the socket's name and is connected."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return sum(line[5] == "03" and line[7:] == [str(folder / "keeper.sock")] for line in lines)


def held(room: Room, name: str = "a") -> int:
    return len(room.keeper.roster.instances[name].held)


async def test_a_lease_ends_with_its_connection(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")) as (room, client):
        async with client.lease(WISH) as lease:
            assert lease.granted.served_name == "a"
            assert held(room) == 1
            lease.beat(3)
            lease.done(7)
            await wait_for_async(lambda: [one.tokens for one in instance_of(room).held.values()] == [7])
        await wait_for_async(lambda: held(room) == 0)


def instance_of(room: Room):  # type: ignore[no-untyped-def]
    return room.keeper.roster.instances["a"]


async def test_a_client_that_is_killed_gives_its_lease_back(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")) as (room, _):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "keeper.sock")
        writer.write(WISH.model_dump_json().encode() + b"\n")
        while b"granted" not in await reader.readline():
            pass
        writer.transport.abort()
        await wait_for_async(lambda: held(room) == 0)


async def test_a_client_that_dies_while_it_waits_leaves_the_line(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")) as (room, client), client.lease(WISH):
        _, writer = await asyncio.open_unix_connection(tmp_path / "keeper.sock")
        writer.write(WISH.model_dump_json().encode() + b"\n")
        await wait_for_async(lambda: room.keeper.waiting == 1)
        writer.transport.abort()
        await wait_for_async(lambda: room.keeper.waiting == 0)


async def test_a_connection_carries_one_lease_after_another(tmp_path: Path) -> None:
    async with door(tmp_path, served("a", slots=2)) as (room, _):
        client = KeeperClient(tmp_path / "keeper.sock", resting=1)
        async with client.lease(WISH) as first:
            first.done(1)
        async with client.lease(WISH) as second, client.lease(WISH) as third:
            assert second.granted.lease != first.granted.lease
            assert held(room) == 2
            second.beat(5)
            told = instance_of(room).held
            await wait_for_async(lambda: told[second.granted.lease].tokens == 5)
            assert told[third.granted.lease].tokens == 0
        await wait_for_async(lambda: held(room) == 0)
        await wait_for_async(lambda: connections(tmp_path) == 1)
        await client.close()


async def test_what_is_said_of_a_lease_that_is_given_back_is_not_heard_of_the_next_one(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, served("a")) as (room, _):
        client = KeeperClient(tmp_path / "keeper.sock", resting=1)
        async with client.lease(WISH) as first:
            pass
        first.beat(1)
        async with client.lease(WISH) as second:
            for _ in range(3):
                first.failed("the stream was cut")
            second.beat(5)
            await wait_for_async(lambda: [one.tokens for one in instance_of(room).held.values()] == [5])
        await wait_for_async(lambda: held(room) == 0)
        assert connections(tmp_path) == 1
        await client.close()


async def test_a_client_that_is_killed_gives_back_what_it_has_on_a_connection_that_had_a_lease_before(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, served("a")) as (room, _):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "keeper.sock")
        for _ in range(2):
            writer.write(WISH.model_dump_json().encode() + b"\n")
            while b"granted" not in await reader.readline():
                pass
            assert held(room) == 1
            writer.write(Over().model_dump_json().encode() + b"\n")
            await wait_for_async(lambda: held(room) == 0)
        writer.write(WISH.model_dump_json().encode() + b"\n")
        await wait_for_async(lambda: held(room) == 1)
        writer.transport.abort()
        await wait_for_async(lambda: held(room) == 0)


async def test_a_keeper_that_was_made_anew_is_found_again(tmp_path: Path) -> None:
    client = KeeperClient(tmp_path / "keeper.sock", resting=1)
    for _ in range(2):
        async with door(tmp_path, served("a")), client.lease(WISH) as lease:
            assert lease.chosen.model == "a"
        (tmp_path / "keeper.sock").unlink()
    with pytest.raises(ModelUnavailable, match="does not run"):
        async with client.lease(WISH):
            pass
    await client.close()


async def test_who_waits_is_told_for_what(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")) as (room, client):
        room.engines.of("a").readiness = Readiness(Sign.LOADING, "weights")
        heard: list[Waiting] = []

        async def ask() -> None:
            async with client.lease(WISH, heard.append):
                pass

        asking = asyncio.create_task(ask())
        await wait_for_async(lambda: bool(heard))
        assert heard[0].why == "loading"
        room.engines.of("a").readiness = Readiness(Sign.READY)
        await asking


async def test_refusals_arrive_as_the_errors_that_they_are(tmp_path: Path) -> None:
    async with door(tmp_path, served("a"), served("huge", 40)) as (room, client):
        with pytest.raises(ModelUnknown, match="no model nobody"):
            async with client.lease(Wish(model="nobody", principal="user:ana")):
                pass
        with pytest.raises(ModelUnavailable, match=r"21\.6 GiB"):
            async with client.lease(Wish(model="huge", principal="user:ana")):
                pass
        async with client.lease(WISH):
            waiting = asyncio.create_task(client.lease(WISH).__aenter__())
            await wait_for_async(lambda: room.keeper.waiting == 1)
            room.advance(61)
            with pytest.raises(ModelBusy):
                await waiting


async def test_no_keeper_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="does not run"):
        async with KeeperClient(tmp_path / "none.sock").lease(WISH):
            pass


async def test_people_see_load_and_unload(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")) as (room, client):
        await client.order(Order(verb=Verb.LOAD, model="a", principal="user:ana"))
        await room.until("a", InstanceState.READY)
        view = await client.look()
        assert [(one.model, one.state, one.in_use) for one in view.models] == [("a", InstanceState.READY, 0)]
        assert {space.device for space in view.spaces} == {"GPU-1", ""}
        await client.order(Order(verb=Verb.UNLOAD, model="a", principal="user:ana"))
        await room.until("a", InstanceState.ABSENT)
        assert "user:ana" in instance_of(room).reason
        with pytest.raises(ModelUnknown):
            await client.order(Order(verb=Verb.LOAD, model="nobody", principal="user:ana"))


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b'{"kind": "wish"}\n', b"x" * 100_000 + b"\n"])
async def test_a_line_that_is_no_request_harms_nobody(tmp_path: Path, line: bytes) -> None:
    async with door(tmp_path, served("a")) as (_, client):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "keeper.sock")
        writer.write(line)
        answer = await reader.read()
        assert answer == b"" or b"no request" in answer
        writer.close()
        async with client.lease(WISH) as lease:
            assert lease.chosen.model == "a"


async def test_the_door_is_open_to_the_boxs_own_user_alone(tmp_path: Path) -> None:
    async with door(tmp_path, served("a")):
        assert (tmp_path / "keeper.sock").stat().st_mode & 0o777 == 0o600


async def test_a_keeper_that_has_just_begun_says_of_no_model_that_it_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that asks while the keeper comes up would fail for ever by such a word."""
    read, shelf_of = asyncio.Event(), Shelf.served

    async def slowly(shelf: Shelf) -> Sequence[Served]:
        await read.wait()
        return await shelf_of(shelf)

    monkeypatch.setattr(Shelf, "served", slowly)
    monkeypatch.setattr(keeper, "FIRST_READ", 0.3)
    socket = tmp_path / "keeper.sock"
    room = Room(served("a"))
    tasks = [
        asyncio.create_task(one) for one in (room.keeper.run(), KeeperServer(room.keeper, socket).serve())
    ]
    await wait_for_async(socket.exists)
    with pytest.raises(KeeperAway, match="does not know yet"):
        async with KeeperClient(socket).lease(WISH):
            pass
    asking = asyncio.create_task(_asked(KeeperClient(socket)))
    await asyncio.sleep(0.05)
    assert not asking.done()
    read.set()
    assert await asking == "a"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _asked(client: KeeperClient) -> str:
    async with client.lease(WISH) as lease:
        return lease.granted.served_name
