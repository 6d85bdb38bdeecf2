"""What a killed stack left is found by name, never by guess."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lib.home import Home
from appliance.processes import leftovers
from appliance.processes.launch import start_time
from appliance.processes.layout import pid_folder
from tests.wait import wait_for


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home.at(tmp_path / "home")
    pid_folder(found).mkdir(parents=True)
    (found.data / "postgres").mkdir(parents=True)
    return found


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_pid_file_counts_only_with_its_start_time(home: Home, sleeper: subprocess.Popen[bytes]) -> None:
    file = pid_folder(home) / "worker"
    file.write_text(f"{sleeper.pid} {start_time(sleeper.pid)}\n")
    assert leftovers.running(home) == {sleeper.pid: "worker"}
    file.write_text(f"{sleeper.pid} 1\n")
    assert leftovers.running(home) == {}
    assert leftovers.clear(home) == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", ["", "\n", "12", "x y", "999999999 5", "-1 1", "1 2 3"])
def test_a_damaged_pid_file_harms_nobody(home: Home, content: str) -> None:
    (pid_folder(home) / "worker").write_text(content)
    assert leftovers.clear(home) == []
    assert list(pid_folder(home).iterdir()) == []


def test_a_process_that_works_in_the_database_is_part_of_it(home: Home) -> None:
    process = subprocess.Popen(["/bin/sleep", "60"], cwd=home.data / "postgres")
    try:
        wait_for(lambda: process.pid in leftovers.running(home))
        assert leftovers.running(home) == {process.pid: "postgres process"}
    finally:
        process.kill()
        process.wait()


def test_one_that_does_not_listen_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "GENTLE_SECONDS", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={leftovers.MARK: home.id}, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        leftovers.clear(home)
        assert process.wait(5) == -9
    finally:
        process.kill()
        process.communicate()


def test_a_process_does_not_count_its_own_line(home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from appliance.lib.home import Home; "
        "from appliance.processes import leftovers; print(leftovers.running(Home.at(Path(sys.argv[1]))))"
    )
    root = Path(leftovers.__file__).parents[2]
    environment = {leftovers.MARK: home.id, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "{}"
