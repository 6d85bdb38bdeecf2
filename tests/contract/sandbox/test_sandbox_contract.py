"""What every sandbox promises to whoever runs a job."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Limits, Outcome, Sandbox
from tests.spawner import processes_with
from tests.wait import wait_for_async


def shell(script: str, *arguments: str, timeout: float = 20.0, output_limit: int = 65536) -> Job:
    return Job(("/bin/sh", "-c", script, "mw", *arguments), timeout=timeout, output_limit=output_limit)


async def test_tells_exit_status_and_keeps_the_streams_apart(sandbox: Sandbox) -> None:
    before = datetime.now(UTC)
    outcome = await sandbox.run(shell("echo out; echo err >&2; exit 7"))
    assert (outcome.exit_status, outcome.signal) == (7, None)
    assert not outcome.timed_out
    assert not outcome.cancelled
    assert outcome.stdout.text == "out\n"
    assert outcome.stderr.text == "err\n"
    assert before - timedelta(seconds=2) < outcome.started_at < datetime.now(UTC) + timedelta(seconds=2)
    assert timedelta(0) < outcome.duration < timedelta(seconds=10)
    assert outcome.usage.max_rss_bytes > 0


async def test_tells_the_signal_that_ended_the_command(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(shell("kill -USR1 $$"))
    assert (outcome.exit_status, outcome.signal) == (None, 10)


async def test_values_reach_the_command_as_they_are(sandbox: Sandbox) -> None:
    values = ("", "a b", "$(id)", "'; exit 3 #", 'two\nlines"', "°C 泵", "*")
    outcome = await sandbox.run(shell('for x in "$@"; do printf "%s|" "$x"; done', *values))
    assert outcome.stdout.text == "".join(f"{value}|" for value in values)


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (("no-such-command",), 127, "no-such-command: not found"),
        (("/no/such/file",), 127, "/no/such/file: not found"),
        (("/etc/passwd",), 126, "/etc/passwd: Permission denied"),
        (("/usr",), 126, "/usr: Permission denied"),
    ],
)
async def test_a_command_that_cannot_run_ends_as_in_a_shell(
    sandbox: Sandbox, argv: tuple[str, ...], status: int, words: str
) -> None:
    outcome = await sandbox.run(Job(argv))
    assert outcome.exit_status == status
    assert words in outcome.stderr.text


async def test_standard_input_is_empty(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(shell("cat; read line || echo nothing", timeout=5))
    assert outcome.stdout.text == "nothing\n"
    assert not outcome.timed_out


async def test_environment_holds_nothing_but_the_declared(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_THE_BOX", "oops")
    outcome = await sandbox.run(Job(("/usr/bin/env",), env={"LINE": "4", "LANG": "fr_FR.UTF-8"}))
    names = dict(line.split("=", 1) for line in outcome.stdout.text.splitlines())
    assert set(names) - {"TZ", "HOSTNAME"} == {"PATH", "HOME", "TMPDIR", "LANG", "LINE"}
    assert (names["LINE"], names["LANG"]) == ("4", "fr_FR.UTF-8")


async def test_working_folder_is_fresh_private_writable_and_home(sandbox: Sandbox) -> None:
    script = (
        "ls -A; echo x > note; mkdir -p a/b; mv note a/b; umask;"
        ' test "$HOME" = "$PWD" -a "$TMPDIR" = "$PWD" && pwd'
    )
    first = await sandbox.run(shell(script))
    second = await sandbox.run(shell(script))
    assert first.exit_status == second.exit_status == 0
    assert len(first.stdout.text.splitlines()) == len(second.stdout.text.splitlines()) == 2
    assert first.stdout.text.splitlines()[0] == "0077"
    await wait_for_async(lambda: not Path(first.stdout.text.splitlines()[1]).exists())


async def test_output_keeps_head_and_tail_and_counts_the_rest(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(
        shell("echo first; head -c 5000000 /dev/zero; echo; echo last", output_limit=1000)
    )
    kept = outcome.stdout
    assert kept.total == len("first\n") + 5_000_000 + len("\nlast\n")
    assert kept.head.startswith(b"first\n")
    assert kept.tail.endswith(b"\nlast\n")
    assert len(kept.head) + len(kept.tail) == 1000
    assert kept.dropped == kept.total - 1000
    assert f"{kept.dropped} bytes dropped" in kept.text


async def test_output_within_the_limit_is_whole(sandbox: Sandbox) -> None:
    text = "°" * 5000
    outcome = await sandbox.run(Job(("printf", "%s", text), output_limit=10_000))
    assert outcome.stdout.text == text
    assert outcome.stdout.dropped == 0


async def test_bytes_that_are_not_text_do_no_harm(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(shell(r"printf '\377\000ok'"))
    assert outcome.stdout.head + outcome.stdout.tail == b"\xff\0ok"
    assert outcome.stdout.text == "\ufffd\0ok"


async def test_live_output_comes_before_the_end(sandbox: Sandbox) -> None:
    seen: list[tuple[str, bytes]] = []
    job = shell("echo one; sleep 0.5; echo two >&2; sleep 0.5; echo three", timeout=20)
    running = asyncio.create_task(sandbox.run(job, on_output=lambda name, data: seen.append((name, data))))
    await wait_for_async(lambda: ("stdout", b"one\n") in seen)
    assert not running.done()
    await running
    assert seen == [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")]


async def test_a_flood_is_ended_at_the_limit_and_live_output_stays_small(sandbox: Sandbox) -> None:
    shown = 0

    def listen(name: str, data: bytes) -> None:
        nonlocal shown
        shown += len(data)

    outcome = await sandbox.run(shell("yes flood", timeout=1, output_limit=4096), on_output=listen)
    assert outcome.timed_out
    assert outcome.stdout.total > 1_000_000
    assert len(outcome.stdout.head) + len(outcome.stdout.tail) == 4096
    assert 0 < shown < 3_000_000


async def test_the_time_limit_ends_a_command_that_waits(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(shell("echo begun; sleep 600", timeout=0.5))
    assert outcome.timed_out
    assert outcome.signal == 15
    assert outcome.stdout.text == "begun\n"
    assert outcome.duration < timedelta(seconds=2)


async def test_a_command_may_tidy_up_at_its_time_limit(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(
        shell("trap 'echo tidy; exit 4' TERM; while :; do sleep 0.1; done", timeout=0.5)
    )
    assert outcome.timed_out
    assert outcome.exit_status == 4
    assert outcome.stdout.text == "tidy\n"


async def test_a_command_that_ignores_the_request_to_end_is_killed_with_all_its_children(
    sandbox: Sandbox, marker: str
) -> None:
    loop = "sh -c 'while :; do sleep 1; done' \"$1\""
    script = f"trap '' TERM; (trap '' TERM HUP; {loop}) & setsid {loop} & wait"
    outcome = await sandbox.run(shell(script, marker, timeout=0.5))
    assert outcome.timed_out
    assert outcome.signal == 9
    assert timedelta(seconds=2) < outcome.duration < timedelta(seconds=6)
    assert processes_with(marker) == []


async def test_a_daemon_ends_with_the_job(sandbox: Sandbox, marker: str) -> None:
    loop = 'trap "" TERM HUP INT; while :; do sleep 1; done'
    daemon = f"nohup setsid sh -c '{loop}' \"$1\" </dev/null >/dev/null 2>&1 &"
    outcome = await sandbox.run(shell(f"(({daemon}) &) ; sleep 0.2; echo done", marker))
    assert outcome.exit_status == 0
    assert outcome.stdout.text == "done\n"
    assert processes_with(marker) == []


async def test_a_helper_that_still_writes_may_finish(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(shell("(sleep 0.05; echo late) & echo early"))
    assert outcome.stdout.text == "early\nlate\n"


async def test_cancelling_kills_the_whole_tree_before_it_goes_on(sandbox: Sandbox, marker: str) -> None:
    script = "trap '' TERM; setsid sh -c 'while :; do sleep 1; done' \"$1\" & echo begun; wait"
    seen: list[bytes] = []
    job = shell(script, marker, timeout=60)
    running = asyncio.create_task(sandbox.run(job, on_output=lambda _, data: seen.append(data)))
    await wait_for_async(lambda: seen and processes_with(marker))
    running.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 3
    assert processes_with(marker) == []


async def test_a_fork_bomb_is_bounded_and_ended(sandbox: Sandbox, marker: str) -> None:
    # One fork by the first shell itself: a second one could fail already, and end it.
    bomb = "bomb() { (bomb | bomb) & }; bomb; while :; do :; done"
    job = Job(("/bin/sh", "-c", bomb, marker), timeout=0.5, limits=Limits(processes=20), output_limit=4096)
    outcome = await sandbox.run(job)
    assert outcome.timed_out
    assert processes_with(marker) == []
    assert (await sandbox.run(shell("echo well"))).stdout.text == "well\n"


async def test_memory_is_limited(sandbox: Sandbox) -> None:
    hungry = ("dd", "if=/dev/zero", "of=/dev/null", "bs=190M", "count=1")
    assert (await sandbox.run(Job(hungry, limits=Limits(memory=64 << 20)))).exit_status != 0
    assert (await sandbox.run(Job(hungry, limits=Limits(memory=1 << 30)))).exit_status == 0


async def test_a_file_cannot_grow_over_its_limit(sandbox: Sandbox) -> None:
    job = Job(
        ("/bin/sh", "-c", "head -c 200000 /dev/zero > big; wc -c < big"), limits=Limits(file_bytes=100_000)
    )
    assert (await sandbox.run(job)).stdout.text.strip() == "100000"


@pytest.mark.parametrize(
    "job",
    [
        Job(()),
        Job(("",)),
        Job(("echo", "nul\0byte")),
        Job(("echo", "\ud800")),
        Job(("echo",), env={"1BAD": "x"}),
        Job(("echo",), env={"A=B": "x"}),
        Job(("echo",), timeout=0),
        Job(("echo",), timeout=float("nan")),
        Job(("echo",), reads=("relative",)),
        Job(("echo",), writes=("/no/such/place",)),
        Job(("echo",), workdir=Path("/no/such/folder")),
        Job(("echo",), output_limit=-1),
        Job(("echo",), limits=Limits(memory=0)),
        Job(("x" * 5_000_000,)),
    ],
    ids=range(14),
)
async def test_a_job_that_makes_no_sense_is_refused_for_good(sandbox: Sandbox, job: Job) -> None:
    with pytest.raises(JobRefused) as refusal:
        await sandbox.run(job)
    assert refusal.value.permanent
    assert refusal.value.message


async def test_many_jobs_at_once_do_not_disturb_each_other(sandbox: Sandbox) -> None:
    async def one(number: int) -> Outcome:
        return await sandbox.run(shell('echo "$1" > mine; sleep 0.1; cat mine; exit "$1"', str(number)))

    outcomes = await asyncio.gather(*(one(number) for number in range(24)))
    assert [outcome.exit_status for outcome in outcomes] == list(range(24))
    assert [outcome.stdout.text for outcome in outcomes] == [f"{number}\n" for number in range(24)]
