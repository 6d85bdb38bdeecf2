"""Loading, and what is left in force when the one who loaded it is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.sandbox.ebpf import cgroups, libbpf, loading, mounts, tables
from appliance.sandbox.ebpf.build import OBJECT
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.rules import KernelRules, Wanted
from tests.kernel_rules import clear
from tests.wait import wait_for

CONNECT = """
import errno, socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
except OSError as error:
    print(errno.errorcode[error.errno])
"""
LOADER = """
import sys, time
from appliance.sandbox.ebpf.rules import KernelRules, Wanted
rules = KernelRules(sys.argv[1], time.monotonic)
print(rules.begin(Wanted([])).folder, flush=True)
time.sleep(600)
"""


def from_inside(folder: Path, code: str, *arguments: str) -> str:
    """What a process prints that begins in that cgroup."""
    command = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(folder / "cgroup.procs")]
    done = subprocess.run([*command, sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_pinned_denies_also_when_its_loader_was_killed(home_id: str) -> None:
    loader = subprocess.Popen([sys.executable, "-c", LOADER, home_id], stdout=subprocess.PIPE, text=True)
    assert loader.stdout
    with loader.stdout:
        folder = Path(loader.stdout.readline().strip())
        loader.send_signal(signal.SIGKILL)
        loader.wait()
    assert from_inside(folder, CONNECT, "9") == "EPERM"
    # The next one takes the tables over: before, during and after, the rules of what runs hold.
    rules = KernelRules(home_id, time.monotonic)
    try:
        assert from_inside(folder, CONNECT, "9") == "EPERM"
        assert rules.forget_left() == 1
        assert not folder.exists()
    finally:
        rules.close()


def test_a_job_of_an_earlier_guard_that_still_runs_keeps_its_rules(home_id: str) -> None:
    earlier = KernelRules(home_id, time.monotonic)
    watch = earlier.begin(Wanted([]))
    job = subprocess.Popen(["sh", "-c", 'echo 0 >"$0" && exec sleep 600', str(watch.folder / "cgroup.procs")])
    wait_for(lambda: str(job.pid) in (watch.folder / "cgroup.procs").read_text().split())
    earlier.close()
    later = KernelRules(home_id, time.monotonic)
    try:
        assert later.forget_left() == 0
        assert from_inside(watch.folder, CONNECT, "9") == "EPERM"
    finally:
        later.close()
        job.kill()
        job.wait()


def test_what_runs_on_behind_its_job_is_ended_with_it(rules: KernelRules) -> None:
    watch = rules.begin(Wanted())
    stray = subprocess.Popen(
        ["sh", "-c", 'echo 0 >"$0" && exec sleep 600', str(watch.folder / "cgroup.procs")]
    )
    wait_for(lambda: str(stray.pid) in (watch.folder / "cgroup.procs").read_text().split())
    rules.end(watch)
    assert stray.wait(10) == -signal.SIGKILL


def test_the_rules_of_a_job_go_some_time_after_it(home_id: str) -> None:
    now = 0.0
    rules = KernelRules(home_id, lambda: now)
    try:
        watch = rules.begin(Wanted([]))
        rules.end(watch)
        assert from_inside_unknown(rules) == "EPERM"
        rules.tidy()
        assert rules.begin(Wanted([])).number != watch.number
        now = 31.0
        rules.tidy()
        assert not watch.folder.exists()
    finally:
        rules.close()


def from_inside_unknown(rules: KernelRules) -> str:
    """From a cgroup in the box's tree that is no job's: nobody knows its rights, so it has none."""
    folder = rules.tree / "job-unknown"
    folder.mkdir()
    try:
        return from_inside(folder, CONNECT, "9")
    finally:
        wait_for(lambda: cgroups.remove(folder))


def test_a_device_is_a_job_s_only_where_it_was_given(rules: KernelRules) -> None:
    code = (
        "import sys\ntry:\n  open(sys.argv[1], 'rb')\n  print('open')\nexcept OSError as e:\n  print(e.errno)"
    )
    limited, given = rules.begin(Wanted(devices=[])), rules.begin(Wanted(devices=["/dev/kmsg"]))
    assert from_inside(limited.folder, code, "/dev/null") == "open"
    assert from_inside(limited.folder, code, "/dev/kmsg") == "1"
    assert from_inside(given.folder, code, "/dev/kmsg") == "open"
    assert [one.what for one in rules.end(limited).refusals] == ["device 1:11"]
    assert rules.end(given).refusals == ()


def test_what_was_executed_is_recorded_and_how_many_ended(rules: KernelRules) -> None:
    watch = rules.begin(Wanted())
    from_inside(watch.folder, "import os; os.system('/bin/true; /bin/true; exec /bin/false')")
    observed = rules.end(watch)
    executed = {Path(one.path).name: one.count for one in observed.executed}
    assert executed["true"] == 2
    assert executed["false"] == 1
    assert observed.ended == 4


def test_a_job_that_floods_the_record_loses_only_its_own(rules: KernelRules) -> None:
    loud, quiet = rules.begin(Wanted()), rules.begin(Wanted())
    code = (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for _ in range(5000): s.sendto(b'', ('127.0.0.1', 9))"
    )
    from_inside(loud.folder, code)
    from_inside(quiet.folder, "import os; os.system('/bin/true')")
    assert rules.end(loud).lost > 900
    told = rules.end(quiet)
    assert told.lost == 0
    assert "true" in {Path(one.path).name for one in told.executed}


def test_room_that_two_processors_took_below_none_is_none(rules: KernelRules) -> None:
    watch = rules.begin(Wanted())
    libbpf.put(rules._jobs, tables.cgroup(watch.number), tables.job(0, room=-1))
    from_inside(watch.folder, "import os; os.system('/bin/true')")
    observed = rules.end(watch)
    assert observed.executed == ()
    assert observed.lost >= 3


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("types", "the kernel has no"), ("object", "are not compiled"), ("cgroup2", "no writable cgroup2")],
)
def test_what_is_missing_is_said(
    missing: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "types":
        monkeypatch.setattr(loading, "TYPES", tmp_path / "vmlinux")
    table = tmp_path / "mounts"
    table.write_text("")
    if missing == "cgroup2":
        monkeypatch.setattr(mounts.cgroup2, "__defaults__", (table,))
    file = tmp_path / "rules.bpf.o" if missing == "object" else OBJECT
    with pytest.raises(NoKernelRules, match=reason):
        loading.check(file)


def test_an_object_that_is_none_is_said(tmp_path: Path, home_id: str) -> None:
    file = tmp_path / "rules.bpf.o"
    file.write_bytes(b"not an object")
    with pytest.raises(NoKernelRules, match="does not take"):
        KernelRules(home_id, time.monotonic, file=file)


def test_nobody_but_root_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoKernelRules, match="not run as root"):
        loading.check()


def test_nothing_is_left_when_the_last_one_closes(home_id: str) -> None:
    rules = KernelRules(home_id, time.monotonic)
    rules.end(rules.begin(Wanted([])))
    rules.close()
    assert not rules.tree.exists()
    assert not (mounts.bpffs() / f"millwright-{home_id}").exists()
    clear(home_id)
