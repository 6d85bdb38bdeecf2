"""A running guard, with folders that its containers may read and write."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.sandbox.docker.request import TemplateName
from appliance.sandbox.ports import Job, Limits, Outcome
from tests.container_engine import PrivateEngine
from tests.guard import RunningGuard, start_guard
from tests.wait import wait_for

DEVICE_GROUP = 20


@dataclass(frozen=True, slots=True)
class Inside:
    """Tries things from inside a container."""

    guard: RunningGuard
    readable: Path
    writable: Path
    device: Path
    """A character device that gives zeros, for the group DEVICE_GROUP."""

    async def attempt(
        self,
        script: str,
        *arguments: object,
        template: TemplateName = "strict",
        reads: tuple[str, ...] = (),
        writes: tuple[str, ...] = (),
        limits: Limits | None = None,
        timeout: float = 20.0,
    ) -> Outcome:
        argv = ("/bin/sh", "-c", script, "mw", *map(str, arguments))
        job = Job(argv, reads=reads, writes=writes, timeout=timeout, limits=limits or Limits())
        return await self.guard.sandbox(template).run(job)


@pytest.fixture(scope="package")
def inside(container_engine: PrivateEngine) -> Iterator[Inside]:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-inside-"))  # /tmp is the container's own there
    folder.chmod(0o755)
    readable, writable = folder / "readable", folder / "writable"
    for place in (readable, writable):
        place.mkdir()
        place.chmod(0o777)
        (place / "note").write_text("readable by all\n")
        (place / "note").chmod(0o666)
    (folder / "home" / "secrets").mkdir(parents=True)
    (folder / "home" / "secrets" / "password").write_text("secret of the box\n")
    device = Path(f"/dev/mw-{secrets.token_hex(4)}")
    os.mknod(device, stat.S_IFCHR, os.makedev(1, 5))
    os.chown(device, 0, DEVICE_GROUP)
    device.chmod(0o660)
    guard = start_guard(
        folder,
        container_engine,
        MILLWRIGHT_CONTAINER_READS=str(readable),
        MILLWRIGHT_CONTAINER_WRITES=str(writable),
        MILLWRIGHT_CONTAINER_DEVICES=str(device),
        MILLWRIGHT_TRUSTED_IMAGES=f"sha256:{'0' * 64}",
    )
    yield Inside(guard, readable, writable, device)
    guard.stop()
    device.unlink()
    # The engine answers before it has quite forgotten one.
    wait_for(lambda: guard.containers() == [], 10, "no container is left")
    with container_engine.client() as client:
        for network in client.networks(filters={"label": f"millwright.home={guard.home.id}"}):
            client.remove_network(network["Id"])  # else its bridge stays on this machine
    shutil.rmtree(folder)


@pytest.fixture
def marker() -> str:
    """A text that no other process on this machine has in its command line."""
    return f"mark-{secrets.token_hex(8)}"
