"""What a job finds when it tries, from inside, to get at what is not its own."""

import asyncio
import os
import secrets
import socket
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Outcome
from tests.spawner import JOB_UID, RunningSpawner, processes_with, start_spawner
from tests.wait import wait_for_async


@pytest.fixture(scope="module", params=["user of its own", "user of the box"])
def shared_user(request: pytest.FixtureRequest) -> bool:
    """Whether jobs run as the user who owns the home, as on a box that an ordinary user started."""
    if request.param == "user of its own" and os.geteuid() != 0:
        pytest.skip("only root can change the user of a job")
    return str(request.param) == "user of the box"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user of a job")


async def attempt(
    spawner: RunningSpawner,
    script: str,
    *arguments: str | Path | int,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
) -> Outcome:
    argv = ("/bin/sh", "-c", script, "mw", *map(str, arguments))
    return await spawner.sandbox.run(Job(argv, reads=reads, writes=writes, timeout=20))


async def test_secrets_of_the_home_cannot_be_read(spawner: RunningSpawner) -> None:
    secret = spawner.home / "secrets" / "password"
    for path in (secret, f"/proc/{spawner.process.pid}/root{secret}", f"/proc/1/root{secret}"):
        outcome = await attempt(spawner, 'cat "$1"', path)
        assert outcome.exit_status == 1
        assert outcome.stdout.total == 0
    script = 'ln -s "$1" link && cat link; ln "$1" hard; ls "${1%/*}"; cat hard'
    outcome = await attempt(spawner, script, secret)
    assert outcome.stdout.total == 0


async def test_a_declared_path_never_opens_the_home(spawner: RunningSpawner, open_folder: Path) -> None:
    link = open_folder / "harmless"
    link.symlink_to(spawner.home)
    inside = spawner.home / "secrets"
    parents = [
        str(spawner.home),
        str(inside),
        str(open_folder),
        "/",
        "/var",
        f"{inside}/../../home",
        str(link),
    ]
    for path in (*parents, str(spawner.socket), str(spawner.spool)):
        for job in (
            Job(("true",), reads=(path,)),
            Job(("true",), writes=(path,)),
        ):
            with pytest.raises(JobRefused, match="folder of the appliance"):
                await spawner.sandbox.run(job)
    with pytest.raises(JobRefused, match="folder of the appliance"):
        await spawner.sandbox.run(Job(("true",), workdir=inside))


@needs_root
async def test_a_home_inside_a_system_folder_stays_closed() -> None:
    # /opt is readable for jobs; a box may well be installed there.
    folder = Path("/opt") / f"millwright-test-{secrets.token_hex(4)}"
    try:
        (folder / "beside").mkdir(parents=True)
        (folder / "beside" / "note").write_text("fine\n")
        spawner = start_spawner(folder)
        try:
            secret = spawner.home / "secrets" / "password"
            outcome = await attempt(spawner, 'cat "$1"; cat "$2"', folder / "beside" / "note", secret)
        finally:
            spawner.stop()
        assert outcome.stdout.text == "fine\n"
        assert "Permission denied" in outcome.stderr.text
    finally:
        await (await asyncio.create_subprocess_exec("rm", "-rf", str(folder))).wait()


async def test_only_declared_paths_are_read_and_only_those_declared_for_it_written(
    spawner: RunningSpawner, open_folder: Path
) -> None:
    place = open_folder / "place"
    place.mkdir()
    place.chmod(0o777)
    note = place / "note"
    note.write_text("readable by all\n")
    note.chmod(0o666)
    script = 'cat "$1"; echo more >> "$1"; echo new > "$2/new" && mv "$2/new" "$2/moved"'
    closed = await attempt(spawner, script, note, place)
    assert closed.stdout.total == 0
    assert closed.stderr.text.count("Permission denied") == 3
    readable = await attempt(spawner, script, note, place, reads=(str(place),))
    assert readable.stdout.text == "readable by all\n"
    assert readable.stderr.text.count("Permission denied") == 2
    assert [path.name for path in place.iterdir()] == ["note"]
    writable = await attempt(spawner, script, note, place, writes=(str(place),))
    assert writable.exit_status == 0
    assert sorted(path.name for path in place.iterdir()) == ["moved", "note"]
    assert note.read_text() == "readable by all\nmore\n"


async def test_writing_anywhere_else_fails(spawner: RunningSpawner) -> None:
    name = secrets.token_hex(8)
    for folder in (
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        "/etc",
        "/usr/bin",
        "/",
        "/proc/sys/kernel",
        spawner.spool,
    ):
        outcome = await attempt(spawner, 'echo x > "$1"', f"{folder}/{name}")
        assert outcome.exit_status != 0
        assert not Path(f"{folder}/{name}").exists()


async def test_what_belongs_to_others_cannot_be_read(spawner: RunningSpawner, open_folder: Path) -> None:
    for path in ("/root", "/home", "/tmp", "/etc/shadow", "/dev/kmsg", open_folder):
        outcome = await attempt(spawner, 'ls "$1" && cat "$1" && cat "$1"/*', path)
        assert outcome.exit_status != 0


async def test_what_commands_need_is_there(spawner: RunningSpawner) -> None:
    script = """
        set -e
        echo x > /dev/null; head -c 4 /dev/zero /dev/urandom > noise
        echo through > /dev/stderr; echo through > /dev/stdout
        cat /proc/meminfo /etc/passwd /proc/self/status > facts
        ls /var/log /sys/class > list; ls -l /proc/self/fd > handles
        mktemp > temporary; test -f "$(cat temporary)"
        printf '#!/bin/sh\\necho ran\\n' > own; chmod +x own; ./own
    """
    outcome = await attempt(spawner, script)
    assert outcome.stderr.text == "through\n"
    assert outcome.stdout.text == "through\nran\n"
    assert outcome.exit_status == 0


async def test_no_open_file_of_the_spawner_reaches_a_job(spawner: RunningSpawner) -> None:
    outcome = await attempt(spawner, "ls /proc/$$/fd; :")
    assert outcome.stdout.text.split() == ["0", "1", "2"]


async def test_a_job_has_no_privileges_and_gets_none(spawner: RunningSpawner) -> None:
    outcome = await attempt(spawner, "cat /proc/self/status")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.text.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert "0" not in status["Uid"].split()


@needs_root
async def test_a_job_of_a_root_spawner_is_somebody_else(spawner: RunningSpawner) -> None:
    outcome = await attempt(spawner, "id -u; id -g; id -G")
    assert outcome.stdout.text.split() == [str(JOB_UID)] * 3


async def test_a_job_cannot_signal_what_is_not_its_own(spawner: RunningSpawner, marker: str) -> None:
    facts = await spawner.sandbox.probe()
    if not (facts.signals_scoped or facts.own_user):
        pytest.skip(
            "Landlock scopes signals from Linux 6.12 on; before, a user of its own does, which needs root"
        )
    other = asyncio.create_task(attempt(spawner, "sleep 30; :", marker))
    await wait_for_async(lambda: processes_with(marker))
    outcome = await attempt(
        spawner,
        'for pid in $PPID "$1" "$2" 1; do kill -9 $pid; done; kill -9 -1; echo still here',
        spawner.process.pid,
        os.getpid(),
    )
    # `kill -9 -1` reaches, at most, the job itself.
    assert outcome.signal == 9 or outcome.stdout.text == "still here\n"
    assert spawner.process.poll() is None
    assert not other.done() or not facts.signals_scoped
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other


async def test_a_job_cannot_look_into_other_processes(spawner: RunningSpawner) -> None:
    for name in ("environ", "mem", "maps", "fd/0"):
        script = f'cat "/proc/$1/{name}" "/proc/$2/{name}"'
        outcome = await attempt(spawner, script, spawner.process.pid, os.getpid())
        assert outcome.exit_status == 1
        assert outcome.stdout.total == 0


async def test_a_job_cannot_see_the_folder_of_another(spawner: RunningSpawner) -> None:
    first = asyncio.create_task(attempt(spawner, "echo private > note; chmod 777 . note; sleep 30"))
    notes = await wait_for_async(lambda: list(spawner.spool.glob("*/note")))
    outcome = await attempt(spawner, 'cat "$1"; ls "${1%/*}"; echo x >> "$1"; ls "${1%/*/*}"', notes[0])
    assert outcome.stdout.total == 0
    assert notes[0].read_text() == "private\n"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


PERL = "use Socket; "


@pytest.mark.parametrize(
    "call",
    [
        "socket(S, PF_UNIX, SOCK_STREAM, 0)",
        "socket(S, 17, SOCK_RAW, 0)",  # whole network packets
        "socket(S, 38, 5, 0)",  # the kernel's cryptography
        "syscall(425, 8, 0) >= 0",  # io_uring_setup: would go around the filter
        "syscall(430, 0, 0) >= 0",  # fsopen
    ],
)
async def test_system_calls_that_lead_out_are_refused(spawner: RunningSpawner, call: str) -> None:
    if not (await spawner.sandbox.probe()).system_calls_filtered:
        pytest.skip("there is no system call filter for this type of machine")
    outcome = await spawner.sandbox.run(Job(("perl", "-e", f'{PERL} {call} or die "$!"')))
    assert outcome.stderr.text.startswith("Operation not permitted")
    assert outcome.exit_status != 0


async def test_network_sockets_work(spawner: RunningSpawner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        address = f"pack_sockaddr_in({port}, INADDR_LOOPBACK)"
        code = f'socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, {address}) or die "$!"'
        outcome = await spawner.sandbox.run(Job(("perl", "-e", PERL + code)))
    assert outcome.exit_status == 0


@pytest.mark.parametrize("options", ["-U", "-n", "-m", "-p", "-i"])
async def test_no_new_namespace_can_be_made(spawner: RunningSpawner, options: str) -> None:
    outcome = await spawner.sandbox.run(Job(("unshare", options, "true")))
    assert outcome.exit_status not in (0, 127)


async def test_a_declared_socket_can_be_used_but_never_the_spawners(
    spawner: RunningSpawner, open_folder: Path
) -> None:
    path = open_folder / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        path.chmod(0o777)
        daemon.listen()
        code = (
            "$SIG{PIPE} = 'IGNORE'; for my $path (@ARGV) { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; alarm 5;"
            ' if (!connect($s, pack_sockaddr_un($path))) { print "no: $!\\n"; next }'
            ' syswrite($s, "P\\0\\0\\0\\0"); shutdown($s, 1) if $path =~ /daemon/;'
            ' print "yes: ", ($path =~ /daemon/ ? "" : join("", <$s>)), "\\n"; }'
        )
        argv = ("perl", "-e", PERL + code, str(path), str(spawner.socket))
        outcome = await spawner.sandbox.run(Job(argv, writes=(str(path),)))
    first, second = outcome.stdout.text.splitlines()[:2]
    assert first.startswith("yes")
    assert second == "no: Permission denied" or "cannot have another job run" in second


async def test_a_named_working_folder_is_used_and_kept(spawner: RunningSpawner, open_folder: Path) -> None:
    folder = open_folder / "mine"
    folder.mkdir()
    folder.chmod(0o777)
    outcome = await spawner.sandbox.run(Job(("/bin/sh", "-c", "pwd; echo x > kept"), workdir=folder))
    assert outcome.stdout.text == f"{folder}\n"
    assert (folder / "kept").read_text() == "x\n"
