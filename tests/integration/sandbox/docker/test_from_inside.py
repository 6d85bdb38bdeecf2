"""What a job in a container finds when it tries to get at what is not its own."""

import asyncio
import ctypes
import json
import os
import platform
import socket
import subprocess
from pathlib import Path

import pytest

from appliance.sandbox.docker.seccomp import profile
from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Limits
from tests.integration.sandbox.docker.conftest import Inside
from tests.spawner import processes_with
from tests.wait import wait_for_async


async def test_nothing_is_written_but_its_own_folders_in_memory(inside: Inside) -> None:
    places = "/ /etc /bin /usr /var /data /proc/sys/kernel /sys /sys/fs/cgroup /dev /mnt /root /job/../new"
    script = (
        'for p in $1; do echo x > "$p/x" && echo "$p"; done; echo x > /job/x && echo x > /tmp/x && echo own'
    )
    outcome = await inside.attempt(script, places)
    assert outcome.stdout.text == "own\n"


async def test_what_it_writes_in_memory_is_bounded_and_cannot_be_run(inside: Inside) -> None:
    outcome = await inside.attempt("dd if=/dev/zero of=/job/big bs=1M count=400; wc -c < /job/big")
    assert "No space left" in outcome.stderr.text
    assert int(outcome.stdout.text) <= 256 << 20
    for folder in ("/job", "/tmp"):
        outcome = await inside.attempt('cp /bin/busybox "$1/sh"; chmod 755 "$1/sh"; "$1/sh" echo ran', folder)
        assert outcome.exit_status == 126
        assert outcome.stdout.total == 0


async def test_it_is_nobody_and_has_no_capability(inside: Inside) -> None:
    outcome = await inside.attempt("cat /proc/self/status")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.text.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(status["Uid"].split()) == {str(inside.guard.home.sandbox_uid)}
    assert set(status["Gid"].split()) == {str(inside.guard.home.sandbox_uid)}
    assert set(status["Groups"].split()) <= {str(inside.guard.home.sandbox_uid)}


async def test_a_setuid_program_gives_nothing(inside: Inside) -> None:
    outcome = await inside.attempt("s=/setuid/busybox; ls -l $s; $s id -u; $s cat /etc/secret; $s su -c id")
    assert outcome.stdout.text.startswith("-rwsr-xr-x")
    assert outcome.stdout.text.splitlines()[1:] == [str(inside.guard.home.sandbox_uid)]
    assert "Permission denied" in outcome.stderr.text


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /",
        "mount --bind /proc /tmp",
        "umount /job",
        "unshare -r true",
        "unshare -m true",
        "nsenter -t 1 -m true",
        "chroot / true",
        "mknod /job/device c 1 3",
        "mknod /tmp/disk b 8 0",
        "chown 0 /job",
        "hostname other",
        "! (date -s 2000-01-01 2>&1 | grep 'not permitted' >&2)",
        "sysctl -w kernel.domainname=x",
        "insmod /etc/passwd",
        "reboot -f",
        "swapon /etc/passwd",
        "dmesg",
        "renice -n -5 -p 1",
    ],
)
async def test_what_only_root_may_do_fails(inside: Inside, command: str) -> None:
    outcome = await inside.attempt(f"{command} && echo done")
    assert outcome.stdout.text in ("", "0\n")
    assert outcome.exit_status not in (0, 127)
    assert "not found" not in outcome.stderr.text


async def test_proc_and_sys_cannot_be_written_and_hide_what_is_the_machines(inside: Inside) -> None:
    files = (
        "/proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches "
        "/sys/kernel/uevent_helper /sys/fs/cgroup/memory/release_agent /sys/fs/cgroup/cgroup.procs"
    )
    outcome = await inside.attempt('for f in $1; do (echo 0 > "$f") && echo "$f"; done', files)
    assert outcome.stdout.text == ""
    hidden = "cat /proc/kcore /proc/timer_list /proc/keys | wc -c; ls /sys/firmware | wc -l"
    assert (await inside.attempt(hidden)).stdout.text.split() == ["0", "0"]


async def test_there_are_no_devices_but_the_harmless(inside: Inside) -> None:
    outcome = await inside.attempt("for d in $(find /dev -type b -o -type c); do echo ${d#/dev/}; done")
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts/ptmx"}
    assert set(outcome.stdout.text.split()) <= harmless


async def test_other_processes_are_out_of_sight_and_reach(inside: Inside, marker: str) -> None:
    other = asyncio.create_task(inside.attempt("sleep 30; :", marker))
    await wait_for_async(lambda: processes_with(marker))
    outcome = await inside.attempt(
        'cat /proc/[0-9]*/cmdline | tr "\\0" " "; kill -9 "$1" "$2"; kill -9 1; echo here',
        os.getpid(),
        processes_with(marker)[0],
    )
    assert outcome.stdout.text.endswith("here\n")
    assert marker not in outcome.stdout.text
    assert processes_with(marker)
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert processes_with(marker) == []


async def test_nothing_of_the_network_is_there(inside: Inside) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        targets = f"127.0.0.1 {port} 169.254.169.254 80 1.1.1.1 53 172.17.0.1 {port} ::1 {port}"
        script = (
            'set -- $1; while [ $# -gt 0 ]; do nc -w 1 "$1" "$2" </dev/null && echo "reached $1"; shift 2; done;'
            " ping -c 1 -W 1 127.0.0.1 >&2 && echo reached by ping; ls /sys/class/net"
        )
        outcome = await inside.attempt(script, targets)
    assert outcome.stdout.text == "lo\n"


async def test_a_fork_bomb_stays_in_its_container(inside: Inside, marker: str) -> None:
    # One fork by the first shell itself: a second one could fail already, and end it.
    bomb = "bomb() { (bomb | bomb) & }; bomb; while :; do :; done"
    job = Job(("/bin/sh", "-c", bomb, marker), timeout=1, limits=Limits(processes=30), output_limit=4096)
    running = asyncio.create_task(inside.guard.sandbox().run(job))
    most = 0
    while not running.done():
        most = max(most, len(processes_with(marker)))
        await asyncio.sleep(0.05)
    assert (await running).timed_out
    assert 0 < most <= 30
    assert processes_with(marker) == []


async def test_a_memory_bomb_is_ended_wherever_it_keeps_it(inside: Inside) -> None:
    small = Limits(memory=48 << 20)
    outcome = await inside.attempt("exec dd if=/dev/zero of=/dev/null bs=400M count=1", limits=small)
    assert outcome.signal == 9 or outcome.exit_status != 0
    outcome = await inside.attempt("dd if=/dev/zero of=/job/big bs=1M count=200; echo $?", limits=small)
    assert "0\n" not in outcome.stdout.text
    assert outcome.usage.max_rss_bytes <= 48 << 20


async def test_secrets_of_the_machine_are_not_there(inside: Inside) -> None:
    password = inside.guard.home.secrets / "password"
    links = (
        'ln -s "$1" /job/link; cat "$1" /job/link "/proc/1/root$1" "/proc/self/root$1" /proc/1/cwd/../../"$1"'
    )
    outcome = await inside.attempt(f"{links}; ls /root /home /var/lib /run", password)
    assert outcome.stdout.total == 0


async def test_no_socket_of_the_engine_or_the_box_is_in_reach(inside: Inside) -> None:
    sockets = f"/var/run/docker.sock /run/docker.sock {inside.guard.home.guard_socket} {inside.guard.engine.url[7:]}"
    script = (
        'for s in $1; do ls "$s" "/proc/1/root$s"; done; find / -xdev -type s; cat /proc/net/unix | wc -l'
    )
    outcome = await inside.attempt(script, sockets)
    assert outcome.stdout.text == "1\n"  # the heading: an abstract socket would be a line


async def test_only_folders_that_the_settings_name_are_mounted(inside: Inside, tmp_path: Path) -> None:
    (inside.writable / "out").symlink_to("/etc")
    (inside.writable / "up").symlink_to(inside.guard.home.path)
    refused = ("/etc", "/", "/var/run", str(tmp_path), str(inside.guard.home.path), "/proc", "/dev")
    links = (f"{inside.writable}/out", f"{inside.writable}/up", f"{inside.writable}/../home")
    for path in (*refused, *links, str(inside.readable.parent)):
        for job in (Job(("true",), reads=(path,)), Job(("true",), writes=(path,))):
            with pytest.raises(JobRefused):
                await inside.guard.sandbox().run(job)
    with pytest.raises(JobRefused, match="may write"):
        await inside.guard.sandbox().run(Job(("true",), writes=(str(inside.readable),)))


async def test_a_mounted_folder_is_as_it_was_declared_and_leads_nowhere(inside: Inside) -> None:
    read, write = str(inside.readable), str(inside.writable)
    (inside.readable / "link").unlink(missing_ok=True)
    (inside.readable / "link").symlink_to(inside.guard.home.secrets / "password")
    script = (
        'cat "$1/note"; echo more >> "$1/note"; cat "$1/link"; ls "$1/.." "$2/.."; echo new > "$2/new";'
        ' ln -s "$3" "$2/planted"; cat "$2/planted"; cp /bin/busybox "$2/suid"; chmod 4755 "$2/suid"'
    )
    password = inside.guard.home.secrets / "password"
    outcome = await inside.attempt(script, read, write, password, reads=(read,), writes=(write,))
    lines = outcome.stdout.text.splitlines()
    assert lines[0] == "readable by all"
    assert "home" not in lines
    assert "secret of the box" not in lines
    assert (inside.readable / "note").read_text() == "readable by all\n"
    assert (inside.writable / "new").read_text() == "new\n"
    owner = (inside.writable / "suid").stat()
    assert owner.st_uid == inside.guard.home.sandbox_uid


async def test_what_is_mounted_below_a_folder_is_not_mounted_with_it(inside: Inside) -> None:
    below, read = inside.readable / "below", str(inside.readable)
    below.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        (below / "other").write_text("of another file system\n")
        outcome = await inside.attempt(
            'ls "$1/below"; grep -c " $1" /proc/mounts; echo x > "$1/below/x"', read, reads=(read,)
        )
    finally:
        subprocess.run(["umount", str(below)], check=True)
    assert outcome.stdout.text == "1\n"
    assert "Read-only file system" in outcome.stderr.text


async def test_the_engine_gets_mounts_without_what_lies_mounted_below_or_comes_later(inside: Inside) -> None:
    read, write = str(inside.readable), str(inside.writable)
    job = asyncio.create_task(inside.attempt("sleep 100", reads=(read,), writes=(write,)))
    try:
        while not (jobs := (await inside.guard.client.ask("list"))["jobs"]):
            await asyncio.sleep(0.05)
        with inside.guard.engine.client() as client:
            found = client.inspect_container(jobs[0]["container"])["HostConfig"]["Mounts"]
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    options = {"Propagation": "rprivate", "NonRecursive": True}
    assert [(one["Source"], one.get("ReadOnly", False), one["BindOptions"]) for one in found] == [
        (read, True, options),
        (write, False, options),
    ]


async def test_each_container_serves_one_step(inside: Inside) -> None:
    first = await inside.attempt("echo mine > /job/x; echo mine > /tmp/y; cat /proc/sys/kernel/hostname")
    second = await inside.attempt("ls -A /job /tmp; cat /proc/sys/kernel/hostname")
    assert "x" not in second.stdout.text.split()
    assert "y" not in second.stdout.text.split()
    assert first.stdout.text.strip() not in second.stdout.text


async def test_what_the_engine_was_told_is_the_strict_template(inside: Inside) -> None:
    job = Job(("sleep", "30"), timeout=40)
    run = "0190c0de-0000-7000-8000-000000000001"
    running = asyncio.create_task(inside.guard.sandbox(run=run, step="first step").run(job))

    async def found() -> list[dict[str, object]]:
        answer = await inside.guard.client.ask("list")
        return [one for one in answer["jobs"] if one["run"] == run]

    (described,) = await wait_for_async(found)
    with inside.guard.engine.client() as client:
        state = client.inspect_container(described["container"])
    host, config = state["HostConfig"], state["Config"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true", f"seccomp={profile()}"]
    assert (host["ReadonlyRootfs"], host["NetworkMode"], host["IpcMode"]) == (True, "none", "private")
    assert not any(
        host[name] for name in ("Binds", "Devices", "PortBindings", "VolumesFrom", "PidMode", "UTSMode")
    )
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert (host["PidsLimit"], host["NanoCpus"], host["Init"]) == (256, 1_000_000_000, True)
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}["core"] == 0
    assert all("noexec" in options and "nosuid" in options for options in host["Tmpfs"].values())
    assert config["User"].split(":")[0] != "0"
    assert config["Labels"]["millwright.home"] == inside.guard.home.id
    # One that was kept ready was made before anybody knew its run.
    assert config["Labels"].get("millwright.run", run) == run
    assert await inside.guard.client.ask("cancel", run=run) == {"cancelled": 1}
    assert (await running).cancelled


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are of x86-64")
@pytest.mark.skipif(not ctypes.CDLL(None), reason="no C library")
def test_the_filter_names_no_call_that_leads_out() -> None:
    named = {name for rule in json.loads(profile())["syscalls"] for name in rule["names"]}
    leads_out = """
        io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd
        bpf perf_event_open userfaultfd keyctl add_key request_key mount umount umount2 move_mount fsopen fsmount
        fsconfig fspick open_tree mount_setattr pivot_root chroot unshare setns open_by_handle_at
        name_to_handle_at init_module finit_module delete_module kexec_load reboot swapon swapoff
        acct settimeofday clock_settime clock_adjtime adjtimex iopl ioperm syslog quotactl memfd_secret
        shmget shmat msgget semget mq_open process_madvise vhangup sethostname setdomainname fanotify_init
    """
    assert named.isdisjoint(leads_out.split())
