"""Which daemons a job may talk to: none that would run its commands outside of the sandbox."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job
from tests.spawner import RunningSpawner, start_spawner

_CONNECT = (
    "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die qq(socket: $!);"
    " connect($s, pack_sockaddr_un($ARGV[0])) or die qq(connect: $!)"
)


@pytest.fixture
def sockets(open_folder: Path) -> Iterator[tuple[Path, Path]]:
    """A daemon's socket that everybody may open, and the engine's, which only its own user may."""
    folder = open_folder / secrets.token_hex(4)
    folder.mkdir()
    folder.chmod(0o755)
    found = (folder / "daemon.sock", folder / "engine.sock")
    with socket.socket(socket.AF_UNIX) as daemon, socket.socket(socket.AF_UNIX) as engine:
        for one, path in zip((daemon, engine), found, strict=True):
            one.bind(str(path))
            one.listen()
        found[0].chmod(0o666)
        found[1].chmod(0o600)
        yield found


@pytest.fixture
def guarded(sockets: tuple[Path, Path]) -> Iterator[RunningSpawner]:
    running = start_spawner(sockets[1].parent / "box", engine=sockets[1])
    yield running
    running.stop()


def job(named: Path, declared: Path) -> Job:
    return Job(("perl", "-e", _CONNECT, str(named)), writes=(str(declared),))


async def test_the_engines_socket_is_not_to_be_had_by_any_of_its_names(
    guarded: RunningSpawner, sockets: tuple[Path, Path]
) -> None:
    link, hard = sockets[1].with_name("link"), sockets[1].with_name("hard")
    link.symlink_to(sockets[1])
    hard.hardlink_to(sockets[1])
    for path in (sockets[1], link, hard):
        with pytest.raises(JobRefused, match="outside of the sandbox"):
            await guarded.sandbox.run(job(path, path))


async def test_no_socket_at_all_where_the_jobs_user_could_open_the_engines(
    guarded: RunningSpawner, sockets: tuple[Path, Path]
) -> None:
    daemon, engine = sockets
    engine.chmod(0o666)
    with pytest.raises(JobRefused, match="may also open"):
        await guarded.sandbox.run(job(engine, daemon))
    # Without a socket among what it declares it runs, and gets none.
    outcome = await guarded.sandbox.run(Job(("perl", "-e", _CONNECT, str(engine))))
    assert outcome.stderr.text.startswith("socket: Operation not permitted")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user of a job")
async def test_a_declared_socket_is_used_where_the_engines_is_closed_to_the_job(
    guarded: RunningSpawner, sockets: tuple[Path, Path]
) -> None:
    daemon, engine = sockets
    allowed = await guarded.sandbox.run(job(daemon, daemon))
    refused = await guarded.sandbox.run(job(engine, daemon))
    assert (allowed.exit_status, allowed.stderr.text) == (0, "")
    assert refused.stderr.text.startswith("connect: Permission denied")
