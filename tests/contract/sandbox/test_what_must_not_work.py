"""What no job may do, in whichever sandbox: each is tried from inside. What only a container keeps from it, the network
above all, is tried in tests/integration/sandbox/docker; bombs are in test_sandbox_contract."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Outcome
from tests.contract.sandbox.conftest import Member

SECRET = "secret of the box"


async def attempt(member: Member, script: str, *arguments: object) -> Outcome:
    argv = ("/bin/sh", "-c", script, "mw", *map(str, arguments))
    return await member.sandbox.run(Job(argv, timeout=30))


@pytest.fixture
def secret(member: Member) -> Iterator[Path]:
    """A file of the home that any user of the machine may read: only the sandbox keeps a job from it."""
    file = member.home / "secrets" / "readable-by-all"
    file.write_text(SECRET)
    for path in (member.home.parent, member.home, file.parent):
        path.chmod(0o755)
    file.chmod(0o644)
    yield file
    file.unlink()


async def test_nothing_is_written_but_its_working_folder(member: Member, secret: Path) -> None:
    for open_to_all in (here := member.home / "open", beside := member.home.parent / "open"):
        open_to_all.mkdir(exist_ok=True)
        open_to_all.chmod(0o777)
    places = f"/ /etc /bin /usr /var /root /proc/sys/kernel /sys /sys/fs/cgroup /dev {here} {beside}"
    script = (
        'for p in $1; do (echo x > "$p/mw-x") && echo "$p"; mkdir "$p/mw-d" && echo "$p"; done;'
        ' echo x > "$HOME/x" && echo own'
    )
    assert (await attempt(member, script, places)).stdout.text == "own\n"


async def test_it_has_no_capability_and_cannot_gain_one(member: Member) -> None:
    outcome = await attempt(member, "cat /proc/self/status")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.text.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()


@pytest.mark.parametrize(
    "command",
    [
        'mount -t tmpfs none "$HOME"',
        'mount --bind /proc "$HOME"',
        "mount -o remount,rw /",
        "umount /proc",
        "unshare -r true",
        "unshare -m true",
        "unshare -n true",
        "nsenter -t 1 -m true",
        "chroot / true",
        'mknod "$HOME/device" c 1 3',
        'chown 0 "$HOME"',
        "hostname other",
        "sysctl -w kernel.domainname=x",
        "dmesg",
        "renice -n -5 -p $$",
    ],
)
async def test_what_only_root_may_do_fails(member: Member, command: str) -> None:
    outcome = await attempt(member, f"PATH=$PATH:/sbin:/usr/sbin; {command} && echo done")
    assert "done" not in outcome.stdout.text
    assert outcome.exit_status not in (0, 127)


async def test_other_processes_cannot_be_looked_into_or_ended(member: Member) -> None:
    """What a tracer could read or write of them, without a tracer: the kernel asks the same question for both."""
    root = (await attempt(member, "ls /")).stdout.text.split()
    for pid in (os.getpid(), member.pid, 1):
        script = (
            'for f in environ mem maps fd/0; do timeout 1 head -c 1 "/proc/$1/$f" | wc -c; done;'
            ' ls "/proc/$1/root/" "/proc/$1/fd/"; kill -9 "$1"; kill -STOP "$1"'
        )
        outcome = await attempt(member, f'[ "$1" = $$ ] || {{ {script}; }} 2>/dev/null', pid)
        own = pid == 1 and "docker" in member.name  # its own init, which has nothing of anybody else
        may = {"0", "1", "2", "/proc/1/root/:", "/proc/1/fd/:", *root} if own else {"0"}
        assert set(outcome.stdout.text.split()) <= may, outcome.stdout.text
        assert not outcome.timed_out
    assert (await attempt(member, "echo well")).stdout.text == "well\n"


async def test_secrets_of_the_box_are_out_of_reach_also_by_links(member: Member, secret: Path) -> None:
    script = (
        'cd; ln -s "$1" link; ln "$1" hard; ln -s / root; ln -s .. up; cat "$1" link hard "root$1" "up/../../..$1"'
        ' "/proc/self/root$1" "/proc/1/root$1" "/proc/self/cwd/../../../../..$1"; cp "$1" copy; cat copy'
    )
    outcome = await attempt(member, f"{script} 2>/dev/null; echo over", secret)
    assert outcome.stdout.text == "over\n"


@pytest.mark.parametrize("field", ["reads", "writes"])
async def test_what_it_names_is_no_way_into_the_home(
    member: Member, secret: Path, tmp_path: Path, field: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret.parent)
    for path in (secret, secret.parent, member.home, member.home.parent, link, Path("/")):
        places = (str(path),)
        job = Job(("true",), reads=places) if field == "reads" else Job(("true",), writes=places)
        with pytest.raises(JobRefused):
            await member.sandbox.run(job)


async def test_a_socket_that_all_may_use_is_not_for_it(member: Member, secret: Path) -> None:
    """As the container engine's would be: in a container there is none, elsewhere none can be talked to."""
    door = secret.parent / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(door))
        door.chmod(0o666)
        daemon.listen()
        daemon.settimeout(0)
        connect = (
            "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) && connect($s, pack_sockaddr_un($ARGV[0]))"
            ' && print "connected"'
        )
        script = f'if command -v perl >/dev/null; then perl -e \'{connect}\' "$1"; else ls "$1"; fi'
        outcome = await attempt(
            member, f"{script} 2>/dev/null; ls /var/run/docker.sock 2>/dev/null; echo over", door
        )
        with pytest.raises(BlockingIOError):
            daemon.accept()
    door.unlink()
    assert outcome.stdout.text.splitlines()[-1] == "over"
    assert "connected" not in outcome.stdout.text
    assert "daemon" not in outcome.stdout.text
