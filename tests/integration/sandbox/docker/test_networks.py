"""The templates with a network, on an engine with real ones: what each reaches of a world that is really there."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lib.clock import SystemClock
from appliance.sandbox.docker.engine import Engine
from appliance.sandbox.docker.mounts import Allowed
from appliance.sandbox.docker.pool import Pool
from appliance.sandbox.docker.request import JobLimits, RunRequest
from appliance.sandbox.docker.runner import Rules, Runner
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Job
from appliance.sandbox.process.request import Refused
from tests.container_engine import PrivateEngine
from tests.guard import RunningGuard, start_guard
from tests.outside_world import ADDRESS, GREETING, METADATA, World, outside_world
from tests.wait import wait_for_async

BRIDGE = "172.17.0.1"
"""The address of the engine's own machine on its first network."""
# Not wget: in a static busybox it looks names up by a library that this image has not, and crashes.
_FETCH = """
for a in "$@"; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 "$a" 80 | tail -n 1 | grep . && echo "from $a"; done
echo over
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-net-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def guard(networked_engine: PrivateEngine, folder: Path) -> Iterator[RunningGuard]:
    running = start_guard(folder, networked_engine, MILLWRIGHT_TRUSTED_IMAGES=networked_engine.image)
    yield running
    running.stop()
    assert running.containers() == []


@pytest.fixture(scope="module")
def world(networked_engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with outside_world(networked_engine, tmp_path_factory.mktemp("world")) as beyond:
        yield beyond


@pytest.fixture
def peer(guard: RunningGuard) -> Iterator[str]:
    """The name of a container that an operator attached to the box's network; it serves on port 80."""
    with guard.engine.client() as client:
        host = client.create_host_config(network_mode=f"millwright-{guard.home.id}")
        script = "echo proxied > /tmp/index.html; exec httpd -f -h /tmp"
        made = client.create_container(
            guard.engine.image, ["/bin/sh", "-c", script], name="peer-of-jobs", host_config=host
        )
        client.start(made["Id"])
        yield "peer-of-jobs"
        client.remove_container(made["Id"], force=True)


def fetch(*addresses: str) -> Job:
    return Job(("/bin/sh", "-c", _FETCH, "mw", *addresses), timeout=60)


async def test_net_reaches_what_was_attached_and_nothing_else(
    guard: RunningGuard, world: World, request: pytest.FixtureRequest
) -> None:
    await guard.sandbox("net").run(Job(("true",)))  # makes the network
    name = request.getfixturevalue("peer")

    async def reached() -> bool:
        return "proxied" in (await guard.sandbox("net").run(fetch(name))).stdout.text

    await wait_for_async(reached)
    routes = (await guard.sandbox("net").run(Job(("ip", "route")))).stdout.text.split()
    gateway = [routes[routes.index("default") + 2]] if "default" in routes else []
    outcome = await guard.sandbox("net").run(fetch(ADDRESS, METADATA, BRIDGE, *gateway, name))
    assert outcome.stdout.text == f"proxied\nfrom {name}\nover\n"


async def test_trusted_reaches_all_of_it_or_the_test_above_proves_nothing(
    guard: RunningGuard, world: World
) -> None:
    outcome = await guard.sandbox("trusted").run(fetch(ADDRESS, METADATA, BRIDGE))
    assert outcome.stdout.text.count(GREETING) == 3, outcome.stderr.text


async def test_strict_and_device_reach_none_of_it(guard: RunningGuard, world: World) -> None:
    assert (await guard.sandbox().run(fetch(ADDRESS, METADATA, BRIDGE))).stdout.text == "over\n"


async def test_a_name_carries_nothing_out(
    guard: RunningGuard, networked_engine: PrivateEngine, world: World
) -> None:
    """The engine asks the machine's resolver for its containers, also for those whose network leads nowhere."""
    ask = Job(
        ("/bin/sh", "-c", 'nslookup "$1" >/dev/null 2>&1; echo asked', "mw", "secret-word.example"),
        timeout=60,
    )
    assert (await guard.sandbox("net").run(ask)).stdout.text == "asked\n"
    assert not world.heard_of("secret-word")
    with networked_engine.client() as client:
        # An ordinary network without a way out, as the engine makes it: there it does.
        network = client.create_network("leaking", internal=True)["Id"]
        host = client.create_host_config(network_mode="leaking")
        made = client.create_container(
            networked_engine.image, ["nslookup", "other-word.example"], host_config=host
        )
        client.start(made["Id"])
        client.wait(made["Id"])
        client.remove_container(made["Id"])
        client.remove_network(network)
    assert world.heard_of("other-word")


async def test_trusted_writes_in_its_image_runs_what_it_wrote_and_has_no_power(guard: RunningGuard) -> None:
    script = (
        "for d in /data /job; do cp /bin/busybox $d && $d/busybox echo ran in $d; done;"
        " grep -c '^Cap...:.0*$' /proc/self/status; id -u; mount -t tmpfs none /tmp || echo no mount;"
        " /setuid/busybox id -u; ls /data"
    )
    outcome = await guard.sandbox("trusted").run(Job(("/bin/sh", "-c", script)))
    uid = str(guard.home.sandbox_uid)
    assert outcome.stdout.text.split("\n")[:-1] == [
        "ran in /data",
        "ran in /job",
        "5",
        uid,
        "no mount",
        uid,
        "busybox",
    ]
    again = await guard.sandbox("trusted").run(Job(("ls", "/data")))
    assert again.stdout.text == "", "what one step wrote is gone with its container"


async def ran(engine: PrivateEngine, home: str) -> tuple[bytes, bytes]:
    """What the client hears while a job runs that fetches from the world, and how it ends."""
    own = Engine(engine.url, home)
    runner = Runner(
        own, Pool(own, SystemClock(), size=0, idle=1), Rules(home, 61000, 61000, Allowed([], [], []))
    )
    request = RunRequest(
        verb="run", template="net", image=engine.image, argv=fetch(ADDRESS).argv, env={}, timeout=30,
        reads=(), writes=(), output_limit=4096, live=False, checkpoint=None, run="", step="",
        limits=JobLimits(memory=64 << 20, processes=64, open_files=64, file_bytes=1 << 20, cpu_seconds=None),
    )  # fmt: skip
    guards, clients = socket.socketpair()
    with guards, clients:
        for end in (guards, clients):
            end.setblocking(False)
        try:
            ended = await runner.run(request, b"", guards)
        except (Refused, SandboxUnavailable) as error:
            ended = error.message.encode()
        finally:
            await runner.pool.close()
            own.close()
        try:
            return clients.recv(4096), ended
        except BlockingIOError:
            return b"", ended


async def test_a_network_of_that_name_that_leads_out_is_not_used(networked_engine: PrivateEngine) -> None:
    for number, options in enumerate(({"internal": True}, {"internal": False})):
        home = f"0d0d0d0d0d0{number}"
        with networked_engine.client() as client:
            network = client.create_network(f"millwright-{home}", **options)["Id"]
            begun, ended = await ran(networked_engine, home)
            client.remove_network(network)
        assert begun == b""
        assert b"leads out" in ended
