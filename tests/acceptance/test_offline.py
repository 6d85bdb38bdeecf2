"""The network goes and comes back: what was written meanwhile arrives exactly once, whatever is killed."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lib.config import read_config
from appliance.processes.bench.box import Box
from tests.acceptance.box import House
from tests.log_receiver import LogReceiver
from tests.wait import wait_for

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "offline_sync.yaml"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def receiver() -> Iterator[LogReceiver]:
    found = LogReceiver()
    found.start()  # to have a port of its own
    found.stop()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def log_file() -> Iterator[Path]:
    with tempfile.NamedTemporaryFile("w", dir="/var/log", prefix="millwright-test-", suffix=".log") as file:
        path = Path(file.name)
        path.chmod(0o644)
        yield path


@pytest.fixture(scope="module")
def house(receiver: LogReceiver, log_file: Path) -> Iterator[House]:
    if not os.access("/var/log", os.W_OK):
        pytest.skip("commands read /var/log only, and this user cannot write there")
    box = Box()
    box.environment |= {"MILLWRIGHT_NETWORK_TARGETS": f"logs=127.0.0.1:{receiver.port}"}
    box.config = read_config(box.environment)
    with box:
        made = House(box)
        text = EXAMPLE.read_text().replace("/var/log/app.log", str(log_file))
        made.load(text.replace("127.0.0.1:8080", f"127.0.0.1:{receiver.port}"), "offline")
        yield made


@pytest.fixture(autouse=True)
def evidence(house: House, request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test failed, the ends of the logs say why."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(house.sql("SELECT type, data FROM events_event WHERE type LIKE 'network.%%' ORDER BY seq"))
        for log in sorted(house.box.home.glob("logs/*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}")


def state_of(house: House) -> str:
    rows = house.sql("SELECT state FROM outbox_networktarget WHERE name = 'logs'")
    return str(rows[0]["state"]) if rows else ""


def edges(house: House) -> list[str]:
    rows = house.sql("SELECT type FROM events_event WHERE data ->> 'target' = 'logs' ORDER BY seq")
    return [row["type"] for row in rows]


def reach(house: House, receiver: LogReceiver) -> None:
    """A receiver that is there, and that the monitor has seen."""
    receiver.start()
    wait_for(lambda: state_of(house) == "up", 60, "the monitor has seen the receiver")
    wait_for(lambda: all(run["finished_at"] for run in house.runs_of("offline_sync")), 60, "no run is left")


def cut(house: House, receiver: LogReceiver) -> None:
    receiver.stop()
    wait_for(lambda: state_of(house) == "down", 60, "the monitor has seen the outage")


def write(log_file: Path, words: list[str]) -> list[str]:
    with log_file.open("a") as file:
        file.write("".join(f"{word}\n" for word in words))
    return words


def synced(house: House, receiver: LogReceiver, wanted: list[str]) -> bool:
    """Everything has arrived, and the run that brought it has ended well."""
    runs = house.runs_of("offline_sync")
    return set(wanted) <= set(receiver.lines) and bool(runs) and runs[-1]["state"] == "succeeded"


def test_what_was_written_offline_arrives_once_though_the_worker_dies_in_the_middle(
    house: House, receiver: LogReceiver, log_file: Path
) -> None:
    reach(house, receiver)
    before, asked, told = list(receiver.lines), len(receiver.asked), len(edges(house))
    cut(house, receiver)
    wanted = write(log_file, [f"offline {number} 温度" for number in range(500)])
    worker = house.box.parts()["worker"]
    receiver.before_answer = lambda: os.kill(worker, signal.SIGKILL)
    receiver.start()
    wait_for(lambda: synced(house, receiver, wanted), 120, "the records arrive after the recovery")
    assert receiver.lines == before + wanted
    repeated = receiver.asked[asked:]
    assert len(repeated) == 2, "the killed attempt and its repeat"
    assert len(set(repeated)) == 1, "under one key"
    assert edges(house)[told:] == ["network.lost", "network.recovered"]


def test_what_was_written_offline_arrives_once_though_the_reactor_dies_in_and_after_the_outage(
    house: House, receiver: LogReceiver, log_file: Path
) -> None:
    reach(house, receiver)
    before, told = list(receiver.lines), len(edges(house))
    cut(house, receiver)
    wanted = write(log_file, [f"second {number}" for number in range(300)])
    house.kill("reactor")
    receiver.start()
    os.kill(house.box.parts()["reactor"], signal.SIGKILL)
    wait_for(lambda: synced(house, receiver, wanted), 120, "the records arrive after the recovery")
    assert receiver.lines == before + wanted
    assert edges(house)[told:] == ["network.lost", "network.recovered"]


def test_a_backlog_larger_than_one_batch_arrives_whole_and_in_order(
    house: House, receiver: LogReceiver, log_file: Path
) -> None:
    reach(house, receiver)
    before, asked = list(receiver.lines), len(receiver.asked)
    wanted = write(log_file, [f"large {number} {'x' * 90}" for number in range(6_000)])
    house.box.manage("tasks", "run", "offline_sync")
    wait_for(lambda: synced(house, receiver, wanted), 120, "all batches have arrived")
    assert receiver.lines == before + wanted
    assert len(receiver.asked) - asked >= 3
