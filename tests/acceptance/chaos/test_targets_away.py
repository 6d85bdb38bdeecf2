"""Targets killed under many runs: what waits acts in the order of its age when they are back, once, or not at all."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import httpx
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.acceptance.box import HOOK_TOKEN, House
from tests.acceptance.chaos.boxes import kill_and_wait, start, stop
from tests.brokers import PASSWORD, USER, Mosquitto, free_port
from tests.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logs")]

SAID = '{run: "{{ run.id }}"}'
TASKS = """
- name: away_quick
  triggers: [{id: m, mqtt: {topic: "away/quick/{valve}", payload: json}}]
  actions: [{id: say, type: mqtt, broker: plant, topic: "valve/{{ valve }}", payload: SAID}]
- name: away_slow
  triggers: [{id: m, mqtt: {topic: "away/slow/{valve}", payload: json}}]
  actions:
    - {id: think, type: shell, args: [/bin/true], effect: pure}
    - {id: say, type: mqtt, broker: plant, topic: "valve/{{ valve }}", payload: SAID}
- name: away_soon
  triggers: [{id: m, mqtt: {topic: "away/soon/{valve}", payload: json}}]
  actions: [{id: say, type: mqtt, broker: plant, topic: "valve/{{ valve }}", payload: SAID, valid_for: 5s}]
- name: away_own
  triggers: [{id: hook, webhook: {name: away, auth: bearer, secret: crash}}]
  actions: [{id: say, type: mqtt, topic: away/own, payload: SAID}]
- name: away_call
  triggers: [{id: m, mqtt: {topic: "away/call/{what}", payload: json}}]
  actions:
    - {id: say, type: http, method: POST, url: "http://127.0.0.1:PORT/", allow_private: true, valid_for: 1h, body: SAID}
- name: away_call_soon
  triggers: [{id: m, mqtt: {topic: "away/callsoon/{what}", payload: json}}]
  actions:
    - {id: say, type: http, method: POST, url: "http://127.0.0.1:PORT/", allow_private: true, valid_for: 5s, body: SAID}
"""


@dataclass
class Ear:
    """Hears a broker with a session that outlives it: the runs that spoke, by topic, in the order in which they did."""

    host: str
    port: int
    user: str
    password: str
    topic: str
    heard: list[tuple[str, str, bool]] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator["Ear"]:
        ready = threading.Event()
        client = Client(
            CallbackAPIVersion.VERSION2, "ear", clean_session=False, protocol=MQTTProtocolVersion.MQTTv311
        )
        client.username_pw_set(self.user, self.password)
        client.on_connect = lambda client, *_: client.subscribe(self.topic, 1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._message
        client.reconnect_delay_set(1, 1)
        client.connect(self.host, self.port)
        client.loop_start()
        assert ready.wait(15), "the broker did not take the subscription"
        try:
            yield self
        finally:
            client.disconnect()
            client.loop_stop()

    def _message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, json.loads(message.payload)["run"], bool(message.dup)))

    @property
    def runs(self) -> set[str]:
        return {run for _, run, _ in self.heard}

    def check(self, wanted: set[str], *, again: int = 0) -> None:
        """Each of them once, and on each topic in the order of their age; ``again``: how many may be said twice."""
        fresh = [(topic, run) for topic, run, repeat in self.heard if not repeat]
        times = Counter(run for _, run in fresh)
        assert set(times) == wanted
        assert sum(times.values()) - len(times) <= again, [run for run, n in times.items() if n > 1]
        for topic in {topic for topic, _ in fresh}:
            said = list(dict.fromkeys(run for where, run in fresh if where == topic))
            assert said == sorted(said), f"{topic}: out of order"


class Desk(ThreadingHTTPServer):
    """Hears requests; nobody answers its address while it is away."""

    allow_reuse_address = True
    heard: list[str]

    @classmethod
    @contextmanager
    def open(cls, port: int, heard: list[str]) -> Iterator[None]:
        desk = cls(("127.0.0.1", port), _Request)
        desk.heard = heard
        thread = threading.Thread(target=desk.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            desk.shutdown()
            thread.join()
            desk.server_close()


class _Request(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cast(Desk, self.server).heard.append(body["run"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def plant(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("plant"))
    broker.start()
    secret = house.box.home.parent / "plant.password"
    secret.write_text(PASSWORD)
    address = f"mqtt://127.0.0.1:{broker.port}"
    house.box.manage("brokers", "add", "plant", address, "--user", USER, "--password-file", str(secret))
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def desk_port(house: House, plant: Mosquitto) -> int:
    port = free_port()
    house.load(TASKS.replace("SAID", SAID).replace("PORT", str(port)), "away")
    return port


def send(house: House, *topics: str) -> None:
    house.box.publish([(topic, b"{}") for topic in topics])


def states(house: House, tasks: Sequence[str]) -> Counter[str]:
    return Counter(f"{row['state']}:{row['waiting_for']}" for task in tasks for row in house.runs_of(task))


def ids(house: House, *tasks: str) -> set[str]:
    return {str(row["id"]) for task in tasks for row in house.runs_of(task)}


def all_are(house: House, state: str, count: int, *tasks: str, seconds: float = 60) -> None:
    def look() -> bool:
        found = states(house, tasks)
        return found[state] == count == sum(found.values())

    try:
        wait_for(look, seconds, f"{count} runs of {', '.join(tasks)} are {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}; they are {dict(states(house, tasks))}") from error


def check_too_late(house: House, task: str, heard: set[str]) -> None:
    rows = house.runs_of(task)
    assert rows
    for row in rows:
        assert row["state"] == "failed"
        assert "too late: it was to act at" in row["reason"]
    assert not heard & {str(row["id"]) for row in rows}


@pytest.mark.usefixtures("desk_port")
def test_a_killed_broker_gets_what_waited_for_it_in_order_once_and_nothing_that_is_too_late(
    house: House, plant: Mosquitto
) -> None:
    """Both lanes, three topics, and a worker that is killed while the lines move on."""
    with Ear("127.0.0.1", plant.port, USER, PASSWORD, "valve/+").listening() as ear:
        send(house, "away/quick/a", "away/slow/a")
        wait_for(lambda: len(ear.heard) == 2, 30, "both lanes reach the broker")
        wait_for(lambda: plant.has_saved(b"ear"), 10, "the session is on the broker's disk")
        ear.heard.clear()
        before = ids(house, "away_quick", "away_slow")
        plant.kill()
        for _ in range(10):
            send(house, *(f"away/{lane}/{valve}" for valve in "abc" for lane in ("quick", "slow")))
        send(house, *["away/soon/a", "away/soon/b"] * 3)
        total = 2 + 60
        wait_for(lambda: states(house, ["away_quick", "away_slow"])["waiting:network"] == 60, 60)
        send(house, *["away/quick/a", "away/slow/a"] * 20)
        total += 40
        wait_for(lambda: states(house, ["away_quick", "away_slow"])["waiting:network"] == 100, 60)
        all_are(house, "failed:", 6, "away_soon")
        plant.start()
        back = time.monotonic()
        wait_for(lambda: len(ear.heard) >= 10, 60, "the lines move on")
        first = time.monotonic() - back
        kill_and_wait(house.box, "worker")
        all_are(house, "succeeded:", total, "away_quick", "away_slow", seconds=90)
        wait_for(lambda: len(ear.runs) == 100, 20, "the broker has given out what it got")
        # What the killed worker was doing is done again: a publish is idempotent (P3).
        ear.check(ids(house, "away_quick", "away_slow") - before, again=3)
    check_too_late(house, "away_soon", ear.runs)
    wait_for(lambda: house.sql("SELECT count(*) AS n FROM runs_away")[0]["n"] == 0, 10)
    house.box.manage("audit", "verify")
    print(f"moved on {first:.1f} s after the broker was back, done after {time.monotonic() - back:.1f} s")


@pytest.mark.usefixtures("desk_port")
def test_the_boxs_own_broker_gets_what_waited_for_it_in_order_and_once(house: House) -> None:
    host, port, user, password = house.box.broker
    with Ear(host, port, user, password, "away/own").listening() as ear:
        assert call_hook(house)
        wait_for(lambda: len(ear.heard) == 1, 30, "the hook's run reaches the broker")
        stop(house.box, "nats")
        try:
            for _ in range(40):
                assert call_hook(house)
            wait_for(lambda: states(house, ["away_own"])["waiting:network"] == 40, 60)
        finally:
            start(house.box, "nats")
        all_are(house, "succeeded:", 41, "away_own", seconds=90)
        wait_for(lambda: len(ear.runs) == 41, 30, "the broker has given out what it got")
        ear.check(ids(house, "away_own"))
    house.wait_ready()


def call_hook(house: House) -> bool:
    answer = httpx.post(
        f"{house.address}/hooks/away",
        json={},
        headers={"Authorization": f"Bearer {HOOK_TOKEN}"},
        timeout=10,
        trust_env=False,
    )
    return answer.is_success


def test_an_http_server_gets_what_waited_for_it_in_order_once_and_nothing_that_is_too_late(
    house: House, desk_port: int
) -> None:
    heard: list[str] = []
    with Desk.open(desk_port, heard):
        send(house, "away/call/x")
        wait_for(lambda: len(heard) == 1, 30, "the server hears the first")
    send(house, *["away/call/x", "away/callsoon/x"] * 5, *["away/call/x"] * 35)
    wait_for(lambda: states(house, ["away_call"])["waiting:network"] == 40, 60)
    all_are(house, "failed:", 5, "away_call_soon")
    with Desk.open(desk_port, heard):
        send(house, "away/call/x")
        all_are(house, "succeeded:", 42, "away_call", seconds=90)
    assert heard == sorted(ids(house, "away_call"))
    check_too_late(house, "away_call_soon", set(heard))
