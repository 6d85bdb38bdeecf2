"""The real box, with real processes: what starts a task ends in a finished run, and killing parts loses nothing."""

import json
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.box import House, steady, twice_committed
from tests.acceptance.checks import RATE, all_done, check_clock, check_repeats, missing
from tests.standins.telegram import TelegramStandin
from tests.wait import wait_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHAT = 4711

pytestmark = pytest.mark.usefixtures("evidence")


# --- what starts a task


def test_a_message_starts_a_run_that_finishes(house: House) -> None:
    with house.device() as device:
        device.send(1)
        wait_for(lambda: [seq for _, seq, step, _ in device.heard if (seq, step) == (1, 2)], 30)
    run = wait_for(lambda: house.finished("crash_echo", "mqtt"), 15)
    assert run["inputs"]["payload"] == {"seq": 1}


def test_a_webhook_starts_a_run_that_finishes(house: House) -> None:
    assert house.call_hook(2)
    mine = {"payload": {"seq": 2}, "origin": "webhook", "state": "succeeded"}

    def finished() -> bool:
        seen = ({**run, "payload": run["inputs"].get("payload")} for run in house.runs_of("crash_echo"))
        return any(mine.items() <= run.items() for run in seen)

    wait_for(finished, 30, "the webhook's own run has succeeded")


def test_a_person_starts_a_run_that_finishes(house: House) -> None:
    house.box.manage("tasks", "run", "by_hand", "--var", "who=Ann", "--wait", "30")
    run = house.finished("by_hand", "manual")
    assert run
    (step,) = house.sql("SELECT output, state FROM runs_step WHERE run_id = %s", run["id"])
    assert step == {"output": "Ann", "state": "succeeded"}


def test_cron_starts_a_run_that_finishes_within_its_minute(house: House) -> None:
    run = wait_for(lambda: house.finished("minute", "cron"), 90, "the minute's run")
    (occurrence,) = house.sql("SELECT due_at, state FROM tasks_occurrence WHERE run_id = %s", run["id"])
    assert (occurrence["due_at"].second, occurrence["state"]) == (0, "fired")
    assert run["created_at"] - occurrence["due_at"] < timedelta(seconds=10)


def test_the_drill_of_the_all_stop_is_met_and_the_box_goes_on(house: House, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hammer-and-anvil-7")
    house.box.manage("users", "add", "drill", "--role", "engineer", "--password-file", str(password))
    found = json.loads(house.box.manage("allstop", "drill", "--as", "drill", "--anyway", "--json"))
    assert found["met"]
    assert found["effects"] > 0
    assert found["last_effect_ms"] <= 1000
    assert found["sandbox_ms"] <= 1000
    assert house.box.manage("allstop", "status").strip() == "The box is not stopped."
    (record,) = house.sql("SELECT principal FROM audit_record WHERE kind = 'allstop.drill'")
    assert record["principal"] == "user:drill"


def test_the_brief_s_example_tells_telegram(house: House, telegram: TelegramStandin) -> None:
    """With its own file; only the log is another one, so that it has an error line."""
    with tempfile.NamedTemporaryFile("w", dir="/var/log", prefix="millwright-test-", suffix=".log") as log:
        Path(log.name).chmod(0o644)
        log.write("fine\nERROR: disk is *full* (95.5%)!\n")
        log.flush()
        brief = (EXAMPLES / "brief_tasks.yaml").read_text(encoding="utf-8")
        house.load(brief.replace("/var/log/app.log", log.name), "brief")
        house.box.manage("platforms", "load", str(EXAMPLES / "brief_platforms.json"))
        house.sql(
            "UPDATE bridges_platform SET default_conversation = %s WHERE name = 'telegram' RETURNING 1",
            str(CHAT),
        )
        before = house.runs_of("log_monitor")
        house.box.manage("tasks", "run", "log_monitor")
        wait_for(lambda: "发现错误日志:\nERROR: disk is *full* (95.5%)!" in telegram.texts, 60)
        known = {row["id"] for row in before}
        wait_for(
            lambda: [
                r for r in house.runs_of("log_monitor") if r["id"] not in known and r["state"] == "succeeded"
            ],
            30,
            "green after the receipt",
        )
        house.load(brief, "brief")


# --- what is killed


def kill_in_the_middle(house: House, part: str, first: int, seconds: float) -> None:
    """20 events a second and webhook calls beside them; ``part`` is killed in the middle.

    Whatever was acknowledged has a run that succeeds; no step that was committed is done again; a number has
    a second run only where the broker marked the message as sent again, or the sender itself sent it twice;
    and every tick of the clock has exactly one row.
    """
    hooks: set[int] = set()
    stop = threading.Event()

    def call_hooks() -> None:
        seq = first + 100_000
        while not stop.wait(0.5):
            seq += 1
            if house.call_hook(seq):
                hooks.add(seq)

    caller = threading.Thread(target=call_hooks)
    killer = threading.Timer(seconds / 3, house.kill, [part])
    with house.device() as device:
        caller.start()
        killer.start()
        steady(device.send, RATE, seconds, first)
        killer.join(60)
        house.wait_ready(60)
        stop.set()
        caller.join(15)
        wait_for(lambda: len(device.acknowledged) >= RATE * seconds * 0.95, 60, "the broker takes the events")
        wanted = set(device.acknowledged) | hooks
        try:
            wait_for(lambda: all_done(house, wanted), 90)
        except AssertionError as late:
            raise AssertionError(f"lost: {missing(house, wanted)}") from late
        heard, doubtful = list(device.heard), set(device.doubtful)
    assert len(hooks) > 0
    assert twice_committed([one for one in heard if one[1] >= first]) == []
    repeats = check_repeats(house, first, doubtful)
    check_clock(house)
    print(f"{part}: {len(wanted)} acknowledged, 0 lost, {len(doubtful)} sent twice, {repeats} taken twice")
    house.wait_ready()


def test_a_killed_worker_loses_nothing_and_repeats_nothing_that_was_committed(house: House) -> None:
    kill_in_the_middle(house, "worker", 1_000, 6)


SPLIT = """
- name: three_hundred
  trigger: manual
  actions:
    - id: each
      type: foreach
      lines: {items}
      parallelism: 16
      collect: counts
      actions:
        - {{id: a, type: shell, args: [/bin/sh, -c, {script}, sh, "{{{{ item }}}} a"],
           writes: [{folder}], effect: idempotent}}
        - {{id: b, type: shell, args: [/bin/sh, -c, {script}, sh, "{{{{ item }}}} b"],
           writes: [{folder}], effect: idempotent}}
"""


ENDED = """
SELECT count(*) FROM runs_run r JOIN tasks_task t ON t.id = r.task_id
WHERE t.name = 'three_hundred' AND r.split_id IS NULL AND r.finished_at IS NOT NULL
"""


@pytest.mark.slow
def test_a_worker_killed_among_300_shards_repeats_only_what_was_in_flight(house: House) -> None:
    """Each line's two steps are written to a file as they happen: what was committed is not done again."""
    with (
        tempfile.NamedTemporaryFile("w", dir="/var/log", prefix="millwright-test-") as items,
        tempfile.TemporaryDirectory(prefix="mw-shards-") as folder,
    ):
        Path(folder).chmod(0o777)
        Path(items.name).chmod(0o644)
        items.write("".join(f"item-{number}\n" for number in range(300)))
        items.flush()
        done = Path(folder) / "done"
        script = json.dumps(f'echo "$1" >>{done}')
        house.load(SPLIT.format(items=items.name, folder=folder, script=script), "split")
        house.box.manage("tasks", "run", "three_hundred")
        wait_for(lambda: done.exists() and len(done.read_text().splitlines()) > 60, 60, "a tenth is done")
        house.kill("worker")
        wait_for(lambda: house.sql(ENDED)[0]["count"], 180, "the run has ended")
        written = done.read_text().splitlines()
    finished = {line for line in written if line.endswith(" b")}
    assert {line.split()[0] for line in finished} == {f"item-{number}" for number in range(300)}
    assert len(written) - len(set(written)) <= 16
    for item in (f"item-{number}" for number in range(300)):
        order = [line.split()[1] for line in written if line.split()[0] == item]
        assert "".join(order) in ("ab", "aab", "abb"), order
    (split,) = house.sql(
        "SELECT s.total, s.succeeded, s.outcome FROM runs_split s JOIN runs_run r ON r.id = s.run_id "
        "JOIN tasks_task t ON t.id = r.task_id WHERE t.name = 'three_hundred'"
    )
    assert split == {"total": 300, "succeeded": 300, "outcome": "succeeded"}
    (shards,) = house.sql(
        "SELECT count(*), count(DISTINCT inputs->>'item') AS items, min(state) AS least, max(state) AS most "
        "FROM runs_run WHERE split_id IS NOT NULL"
    )
    assert shards == {"count": 300, "items": 300, "least": "succeeded", "most": "succeeded"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "first"),
    [
        ("reactor", 10_000),
        ("web", 20_000),
        ("beat", 30_000),
        ("redis", 40_000),
        ("nats", 50_000),
        ("postgres", 60_000),
    ],
)
def test_any_part_may_be_killed(house: House, part: str, first: int) -> None:
    kill_in_the_middle(house, part, first, 9)


@pytest.mark.slow
def test_the_audit_of_all_that_is_whole(house: House) -> None:
    house.box.manage("audit", "verify")
