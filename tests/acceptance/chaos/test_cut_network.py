"""The cable to another machine pulled and plugged, under load: what is for it waits in order, and arrives after."""

import os
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.acceptance.box import Device, House
from tests.acceptance.chaos.boxes import began, made
from tests.acceptance.chaos.conftest import print_logs
from tests.acceptance.chaos.netns import Elsewhere, NoNamespace, elsewhere
from tests.log_receiver import LogReceiver
from tests.standins.telegram import TOKEN, TelegramStandin
from tests.wait import wait_for

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
CUTS = 2
RATE = 5.0
"""Events a second from the device over there."""
TELL_EVERY = 8
"""One in so many becomes a message: a chat takes one a second, and what waited must catch up."""
SOME = 3
CHAT = "4711"
TELL = """
- name: tell
  trigger: {mqtt: {topic: m/tell, payload: json}}
  actions: [{type: notification, platform: telegram, message: "number {{ payload.seq }}"}]
- name: far
  trigger: {mqtt: {topic: m/far, payload: json}}
  actions: [{id: kept, type: set, value: "{{ payload.seq }}"}]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
    pytest.mark.skipif(not shutil.which("ip"), reason="needs ip (iproute2)"),
]


@dataclass
class Street:
    """A box, and on the other machine: the chat platform, the receiver of logs, and a device."""

    house: House
    other: Elsewhere
    telegram: TelegramStandin
    receiver: LogReceiver
    log_file: Path

    def edges(self, target: str) -> list[str]:
        rows = self.house.sql(
            "SELECT type FROM events_event WHERE type LIKE 'network.%%' AND data ->> 'target' = %s ORDER BY seq",
            target,
        )
        return [row["type"] for row in rows]

    def states(self) -> dict[str, str]:
        rows = self.house.sql(
            "SELECT name, state FROM outbox_networktarget WHERE name IN ('telegram', 'logs')"
        )
        return {row["name"]: row["state"] for row in rows}

    def wait_until(self, state: str) -> None:
        wait_for(
            lambda: self.states() == {"telegram": state, "logs": state},
            60,
            f"the monitor sees both targets {state}",
        )


@pytest.fixture
def street() -> Iterator[Street]:
    try:
        with (
            elsewhere() as other,
            other.make(lambda: TelegramStandin(host=other.far)) as telegram,
            tempfile.NamedTemporaryFile("w", dir="/var/log", prefix="millwright-test-", suffix=".log") as log,
        ):
            Path(log.name).chmod(0o644)
            receiver = LogReceiver(host=other.far)
            other.make(receiver.start)
            box = made(
                MILLWRIGHT_TELEGRAM_API=telegram.root,
                MILLWRIGHT_NETWORK_TARGETS=f"logs={other.far}:{receiver.port}",
                MILLWRIGHT_MQTT_LISTEN=f"0.0.0.0:{made_port()}",
                MILLWRIGHT_TLS="no",
                BOT_TOKEN=TOKEN,
                APP_ID="cli_test",
                APP_SECRET="test",
            )
            try:
                with began(box, TELL) as house:
                    yield prepared(Street(house, other, telegram, receiver, Path(log.name)))
            finally:
                print_logs(box.home)
                receiver.stop()
    except NoNamespace as error:
        pytest.skip(str(error))


def prepared(street: Street) -> Street:
    house, receiver = street.house, street.receiver
    house.box.manage("platforms", "load", str(EXAMPLES / "brief_platforms.json"))
    # Each message is looked for by itself here.
    house.sql(
        "UPDATE bridges_platform SET default_conversation = %s, config = config || '{\"digest\": false}',"
        " revision = revision + 1 WHERE name = 'telegram' RETURNING 1",
        CHAT,
    )
    text = (EXAMPLES / "offline_sync.yaml").read_text().replace("/var/log/app.log", str(street.log_file))
    house.load(text.replace("127.0.0.1:8080", f"{receiver.host}:{receiver.port}"), "offline")
    street.wait_until("up")
    return street


def made_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_what_is_for_the_other_machine_waits_in_order_and_arrives(street: Street) -> None:
    house, other = street.house, street.other
    stop, numbers, tells = threading.Event(), list[int](), list[int]()
    with closing(other.make(lambda: Device(house.box, other.near))) as far, house.device() as near:

        def send() -> None:
            while not stop.wait(1 / RATE):
                numbers.append(len(numbers))
                far.send(numbers[-1], "m/far")
                if numbers[-1] % TELL_EVERY == 0:
                    tells.append(numbers[-1])
                    near.send(numbers[-1], "m/tell")

        sender = threading.Thread(target=send)
        sender.start()
        try:
            wait_for(lambda: len(street.telegram.texts) >= SOME, 60, "the first messages arrive")
            wanted = [line for number in range(CUTS) for line in cut(street, number)]
        finally:
            stop.set()
            sender.join(30)
        wait_for(
            lambda: (len(near.acknowledged), len(far.acknowledged)) == (len(tells), len(numbers)),
            60,
            "all events are taken",
        )
        check(street, numbers, tells, wanted)


def cut(street: Street, number: int) -> list[str]:
    """One outage; gives the lines that were written to the log meanwhile."""
    told, seen = len(street.edges("telegram")), len(street.telegram.texts)
    street.other.pull()
    street.wait_until("down")
    assert street.edges("telegram")[told:] == ["network.lost"]
    lines = [f"cut {number} line {line}" for line in range(100)]
    with street.log_file.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    waiting = "SELECT count(*) FROM outbox_item WHERE state IN ('pending', 'sending')"
    wait_for(lambda: street.house.sql(waiting)[0]["count"] >= SOME, 60, "messages wait")
    assert street.house.box.ready(), "a network that is away does not make the box unready"
    street.other.plug()
    street.wait_until("up")
    assert street.edges("telegram")[told:] == ["network.lost", "network.recovered"]
    wait_for(lambda: len(street.telegram.texts) > seen + SOME, 60, "messages arrive again")
    wait_for(
        lambda: set(lines) <= set(street.receiver.lines), 60, "the example has sent what was logged offline"
    )
    return lines


def green(house: House, task: str, count: int) -> bool:
    return [run["state"] for run in house.runs_of(task)] == ["succeeded"] * count


def check(street: Street, numbers: list[int], tells: list[int], wanted: list[str]) -> None:
    house, telegram = street.house, street.telegram
    expected = [f"number {number}" for number in tells]
    wait_for(lambda: telegram.texts[-1:] == expected[-1:], 60, "the last message has arrived")
    came = [text for text, _ in groupby(telegram.texts)]
    assert came == expected, "in the order in which they were made, none missing"
    repeated = len(telegram.texts) - len(came)
    marked = house.sql("SELECT count(*) FROM outbox_item WHERE repeat_possible")[0]["count"]
    assert repeated <= marked, "what came twice is marked"
    assert street.receiver.lines == wanted, "each line once, in order"
    counts = {"tell": len(tells), "far": len(numbers)}
    try:
        wait_for(lambda: all(green(house, *one) for one in counts.items()), 60)
    except AssertionError:
        found = {task: dict(Counter(run["state"] for run in house.runs_of(task))) for task in counts}
        pytest.fail(f"all runs are to be green, {counts}: {found}")
    assert street.edges("logs") == ["network.lost", "network.recovered"] * CUTS
    house.box.manage("audit", "verify")
    print(
        f"{len(numbers)} messages in order, {repeated} came twice ({marked} marked); {len(wanted)} lines once"
    )
