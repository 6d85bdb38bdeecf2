"""The brief's task, as it was written: green with an error line, green on a clean log, warned without a log."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine
from tests.spawner import RunningSpawner, start_spawner

BRIEF = (Path(__file__).resolve().parents[3] / "examples" / "brief_tasks.yaml").read_text(encoding="utf-8")
MISSING = Path("/var/log/app.log")


@pytest.fixture(scope="module")
def spawner() -> Iterator[RunningSpawner]:
    with tempfile.TemporaryDirectory(prefix="millwright-brief-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        running = start_spawner(Path(folder))
        yield running
        running.stop()
        running.forget()


@pytest.fixture
async def confined(engine: Engine, spawner: RunningSpawner) -> Engine:
    """The engine with the product's own sandbox instead of a played one."""

    async def work(job: Job) -> Outcome:
        return await spawner.sandbox.run(job)

    engine.world.working = work
    return engine


@pytest.fixture
def log() -> Iterator[Path]:
    """A log that the job may read: under /var/log, as the product allows without being asked."""
    with tempfile.NamedTemporaryFile(dir="/var/log", prefix="millwright-test-", suffix=".log") as file:
        path = Path(file.name)
        path.chmod(0o644)
        yield path


def brief(log: Path) -> str:
    assert BRIEF.count(str(MISSING)) == 1
    return BRIEF.replace(str(MISSING), str(log))


async def run_brief(engine: Engine, text: str) -> dict[str, object]:
    await engine.load(text)
    return await engine.perform(await engine.start("log_monitor"))


async def messages(engine: Engine) -> list[str]:
    return [
        row["message"]["text"] for row in await engine.sql("SELECT message FROM outbox_item ORDER BY seq")
    ]


async def test_an_error_line_in_the_log_gives_one_message(confined: Engine, log: Path) -> None:
    log.write_text("all is well\nERROR: the pump is hot\nall is well\n")
    row = await run_brief(confined, brief(log))
    assert (row["state"], row["waiting_for"], row["warning"]) == ("waiting", "delivery", "")
    assert await messages(confined) == ["发现错误日志:\nERROR: the pump is hot"]
    run_id = row["id"]
    await confined.receipts.delivered(run_id, "notification-1", {"message_ids": ["1"]})  # type: ignore[arg-type]
    assert await confined.state(run_id) == "succeeded"  # type: ignore[arg-type]
    (kept,) = await confined.sql("SELECT value FROM cache_cacheentry WHERE key = 'last_error_timestamp'")
    assert kept["value"] == "ERROR: the pump is hot"


async def test_a_clean_log_is_green_and_says_nothing(confined: Engine, log: Path) -> None:
    log.write_text("all is well\n")
    row = await run_brief(confined, brief(log))
    assert (row["state"], row["warning"]) == ("succeeded", "")
    assert await messages(confined) == []


@pytest.mark.skipif(MISSING.exists(), reason=f"this machine has a {MISSING}")
async def test_the_file_as_it_stands_is_green_with_a_warning_where_there_is_no_log(confined: Engine) -> None:
    row = await run_brief(confined, BRIEF)
    assert row["state"] == "succeeded"
    assert re.match(r"shell-1: tail: .*app\.log.*: No such file", str(row["warning"]))
    assert await messages(confined) == []


@pytest.mark.parametrize("line", ["error $(touch /tmp/x)", "ERROR '; reboot; '", "error {{ 1 + 1 }}"])
async def test_what_the_log_says_is_text_and_nothing_else(confined: Engine, log: Path, line: str) -> None:
    log.write_text(line + "\n")
    await run_brief(confined, brief(log))
    assert await messages(confined) == [f"发现错误日志:\n{line}"]
