"""The templates with a network, on an engine with real ones: what each reaches of a world that is really there."""

import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.lib.clock import SystemClock
from appliance.sandbox.docker.client import DockerSandbox, Where
from appliance.sandbox.docker.egress import EgressRules
from appliance.sandbox.docker.engine import Engine
from appliance.sandbox.docker.mounts import Allowed
from appliance.sandbox.docker.pool import Pool
from appliance.sandbox.docker.request import JobLimits, RunRequest, TemplateName
from appliance.sandbox.docker.runner import Rules, Runner
from appliance.sandbox.errors import JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job
from appliance.sandbox.process import wire
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


async def test_addresses_that_cannot_be_kept_to_are_refused(guard: RunningGuard) -> None:
    where = Where(guard.engine.image, "net", egress=(f"{ADDRESS}:80",))
    with pytest.raises(JobRefused, match="cannot be kept to") as refusal:
        await DockerSandbox(guard.home.guard_socket, where).run(fetch(ADDRESS))
    assert refusal.value.hint
    others: tuple[TemplateName, ...] = ("strict", "device", "trusted")
    for template in others:
        other = Where(guard.engine.image, template, egress=(f"{ADDRESS}:80",))
        with pytest.raises(JobRefused, match="Only the template net"):
            await DockerSandbox(guard.home.guard_socket, other).run(fetch(ADDRESS))


@pytest.mark.parametrize(
    "egress", ["", "host", "host:0", "host:port", "http://host:80", "a b:80", "host:80\n"]
)
async def test_what_is_no_address_is_refused(guard: RunningGuard, egress: str) -> None:
    where = Where(guard.engine.image, "net", egress=(egress,))
    with pytest.raises(JobRefused, match="egress"):
        await DockerSandbox(guard.home.guard_socket, where).run(fetch(ADDRESS))


@dataclass
class Noted:
    """Rules that note what they were told, or fail."""

    fails: bool = False
    told: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    def lacking(self) -> str:
        return ""

    async def confine(self, pid: int, allowed: Sequence[str]) -> None:
        if self.fails:
            raise SandboxUnavailable("The rules cannot be loaded.")
        self.told.append((pid, tuple(allowed)))


async def ran(
    engine: PrivateEngine, rules: EgressRules, home: str, egress: tuple[str, ...]
) -> tuple[bytes, bytes]:
    """What the client hears while a job runs that fetches from the world, and how it ends."""
    own = Engine(engine.url, home)
    runner = Runner(
        own, Pool(own, SystemClock(), size=0, idle=1), Rules(home, 61000, 61000, Allowed([], [], [])), rules
    )
    request = RunRequest(
        verb="run", template="net", egress=egress, image=engine.image, argv=fetch(ADDRESS).argv, env={}, timeout=30,
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


async def test_rules_hold_before_the_job_begins(networked_engine: PrivateEngine, world: World) -> None:
    rules = Noted()
    begun, ended = await ran(networked_engine, rules, "0e0e0e0e0e0e", (f"{ADDRESS}:80", "10.0.0.0/8:443"))
    assert begun.startswith(wire.STARTED)
    assert GREETING.encode() in ended
    ((pid, allowed),) = rules.told
    assert pid > 0
    assert allowed == (f"{ADDRESS}:80", "10.0.0.0/8:443")


async def test_a_job_whose_rules_fail_is_not_begun(networked_engine: PrivateEngine, world: World) -> None:
    begun, ended = await ran(networked_engine, Noted(fails=True), "0e0e0e0e0e0e", (f"{ADDRESS}:80",))
    assert (begun, ended) == (b"", b"The rules cannot be loaded.")


async def test_a_network_of_that_name_that_leads_out_is_not_used(networked_engine: PrivateEngine) -> None:
    for number, options in enumerate(({"internal": True}, {"internal": False})):
        home = f"0d0d0d0d0d0{number}"
        with networked_engine.client() as client:
            network = client.create_network(f"millwright-{home}", **options)["Id"]
            begun, ended = await ran(networked_engine, Noted(), home, ())
            client.remove_network(network)
        assert begun == b""
        assert b"leads out" in ended
