"""The rest of what a job of the process sandbox must not be able to do, tried from inside."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from appliance.sandbox.ports import Job, Outcome
from tests.spawner import JOB_UID, RunningSpawner

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a setuid program of root's")


async def attempt(spawner: RunningSpawner, script: str, *arguments: object) -> Outcome:
    argv = ("/bin/sh", "-c", script, "mw", *map(str, arguments))
    return await spawner.sandbox.run(Job(argv, timeout=20))


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none .",
        "mount --bind / .",
        "umount /proc",
        "chroot / true",
        "mknod device c 1 3",
        "mknod disk b 8 0",
        "chown 0 .",
        "nsenter -t 1 -m true",
        "date -s 2000-01-01",
        "sysctl -w kernel.domainname=x",
        "swapon /etc/passwd",
    ],
)
async def test_what_only_root_may_do_fails(spawner: RunningSpawner, command: str) -> None:
    outcome = await attempt(spawner, f"PATH=$PATH:/sbin:/usr/sbin; {command} && echo done")
    assert "done" not in outcome.stdout.text
    assert outcome.exit_status not in (0, 127)


@pytest.mark.parametrize("call", ["ptrace", "process_vm_readv", "pidfd_getfd"])
async def test_no_other_process_can_be_entered(spawner: RunningSpawner, call: str) -> None:
    number = {
        "x86_64": {"ptrace": 101, "process_vm_readv": 310},
        "aarch64": {"ptrace": 117, "process_vm_readv": 270},
    }
    numbers = {**number.get(os.uname().machine, {}), "pidfd_getfd": 438}
    if call not in numbers or not (await spawner.sandbox.probe()).system_calls_filtered:
        pytest.skip("the numbers of the calls of this machine are not known here")
    code = f'syscall({numbers[call]}, 16, $ARGV[0], 0, 0) >= 0 and print "in"; print "$!"'
    outcome = await spawner.sandbox.run(Job(("perl", "-e", code, str(spawner.process.pid))))
    assert outcome.stdout.text == "Operation not permitted"


async def test_proc_and_sys_cannot_be_written(spawner: RunningSpawner) -> None:
    files = (
        "/proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/self/oom_score_adj"
        " /sys/kernel/uevent_helper /sys/fs/cgroup/cgroup.procs /sys/power/state"
    )
    outcome = await attempt(spawner, 'for f in $1; do (echo 0 > "$f") && echo "$f"; done', files)
    assert outcome.stdout.total == 0


@needs_root
async def test_a_setuid_program_gives_nothing(spawner: RunningSpawner, open_folder: Path) -> None:
    program = open_folder / "id"
    shutil.copy(shutil.which("id") or "", program)
    program.chmod(0o4755)
    argv = ("/bin/sh", "-c", '"$1" -u', "mw", str(program))
    outcome = await spawner.sandbox.run(Job(argv, reads=(str(program),)))
    assert outcome.stdout.text.strip() == str(JOB_UID)
    assert (
        subprocess.run([str(program), "-u"], capture_output=True, check=True, user=JOB_UID).stdout == b"0\n"
    )


async def test_a_container_engines_socket_is_out_of_reach(spawner: RunningSpawner, open_folder: Path) -> None:
    path = open_folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        path.chmod(0o777)
        engine.listen()
        code = 'use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die "$!"; connect($s, pack_sockaddr_un($ARGV[0]))'
        outcome = await spawner.sandbox.run(Job(("perl", "-e", f'{code} and print "in"', str(path))))
    path.unlink()
    assert outcome.stdout.total == 0
    assert "Operation not permitted" in outcome.stderr.text


async def test_a_link_that_a_job_leaves_in_its_folder_leads_nowhere(spawner: RunningSpawner) -> None:
    secret = spawner.home / "secrets" / "password"
    script = 'ln -s "$1" a; ln -s / b; cat a "b$1" "$PWD/../..$1"; cd b && cat ".$1"; echo x > a'
    outcome = await attempt(spawner, script, secret)
    assert outcome.stdout.total == 0
    assert secret.read_text() == "secret of the box\n"
