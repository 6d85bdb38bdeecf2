"""A real box, a device that sends it events, and a look at what came of them."""

import json
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from psycopg.rows import dict_row

from appliance.processes.bench.box import Box
from tests.wait import wait_for

HOOK_TOKEN = "token-of-the-acceptance-test"
ADMIN_PASSWORD = "password-of-the-acceptance-test"

TASKS = """
- name: crash_echo
  triggers:
    - {id: in, mqtt: {topic: "crash/in/{unit}", payload: json}}
    - {id: hook, webhook: {name: crash, auth: bearer, secret: crash}}
  actions:
    - {id: one, type: mqtt, topic: crash/out, payload: {seq: "{{ payload.seq }}", run: "{{ run.id }}", step: 1}}
    - {id: two, type: mqtt, topic: crash/out, payload: {seq: "{{ payload.seq }}", run: "{{ run.id }}", step: 2}}
- name: clockwork
  triggers: [{id: tick, every: 2s}]
  actions: [{id: beat, type: set, value: 1}]
- name: minute
  triggers: [{id: cron, cron: "* * * * *"}]
  actions: [{id: fine, type: shell, args: [/bin/true]}]
- name: by_hand
  trigger: manual
  vars: {who: nobody}
  actions: [{id: say, type: shell, args: [/bin/echo, "{{ vars.who }}"]}]
"""


@dataclass
class Device:
    """Publishes numbered events at QoS 1, remembers which the broker acknowledged, hears what the box answers."""

    box: Box
    host: str = ""
    """Where it finds the broker, if not on this machine's loopback."""
    acknowledged: dict[int, float] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    """Under way while the connection was lost: the client sends them again by itself."""
    heard: list[tuple[str, int, int, bool]] = field(default_factory=list)
    """Run, event number, step, and whether the broker marked the message as a repeat."""

    def __post_init__(self) -> None:
        host, port, user, password = self.box.broker
        self._pending: dict[int, int] = {}
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            f"device-{os.getpid()}",
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.username_pw_set(user, password)
        self._client.on_connect = lambda client, *_: client.subscribe("crash/out", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_publish = self._published
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 2)
        self._client.connect(self.host or host, port)
        self._client.loop_start()
        assert self._ready.wait(15), "the broker did not take the subscription"

    def send(self, seq: int, topic: str = "") -> None:
        # Outside the lock: paho calls back while it holds the one that publish() waits for.
        info: MQTTMessageInfo = self._client.publish(
            topic or f"crash/in/d{seq % 5}", json.dumps({"seq": seq}), qos=1
        )
        with self._lock:
            if info.mid in self._early:
                self._early.discard(info.mid)
                self.acknowledged[seq] = time.monotonic()
                return
            self._pending[info.mid] = seq
            if not self._client.is_connected():
                self.doubtful.add(seq)

    def _published(self, client: Client, data: Any, mid: int, *_: Any) -> None:
        with self._lock:
            seq = self._pending.pop(mid, None)
            if seq is None:
                self._early.add(mid)  # confirmed before ``send`` has written down what it is
            else:
                self.acknowledged[seq] = time.monotonic()

    def _disconnected(self, *_: Any) -> None:
        with self._lock:
            self.doubtful.update(self._pending.values())

    def _message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        body = json.loads(message.payload)
        self.heard.append((body["run"], int(body["seq"]), int(body["step"]), bool(message.dup)))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class House:
    """The box and what a test asks of it."""

    box: Box

    @contextmanager
    def device(self) -> Iterator[Device]:
        device = Device(self.box)
        try:
            yield device
        finally:
            device.close()

    def sql(self, text: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.box.config.database_url, row_factory=dict_row) as connection:
            return connection.execute(text, values).fetchall()

    def call_hook(self, seq: int) -> bool:
        """Whether the box took it (2xx)."""
        host, port = self.box.config.http_listen
        try:
            answer = httpx.post(
                f"http://{host}:{port}/hooks/crash",
                json={"seq": seq},
                headers={"Authorization": f"Bearer {HOOK_TOKEN}"},
                timeout=5,
                trust_env=False,
            )
        except httpx.HTTPError:
            return False
        return answer.is_success

    @property
    def address(self) -> str:
        host, port = self.box.config.http_listen
        return f"http://{host}:{port}"

    @contextmanager
    def admin(self) -> Iterator[httpx.Client]:
        """A browser of the administrator's, logged in; without patience for a page that does not come."""
        with httpx.Client(base_url=self.address, timeout=15, trust_env=False) as browser:
            browser.get("/login/")
            entered = browser.post(
                "/login/",
                data={
                    "username": "admin",
                    "password": ADMIN_PASSWORD,
                    "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                },
            )
            assert entered.status_code == 302, "the administrator could not log in"
            yield browser

    def load(self, text: str, name: str) -> None:
        file = self.box.home.parent / f"{name}.yaml"
        file.write_text(text)
        file.chmod(0o644)
        self.box.manage("tasks", "apply", str(file))

    def put_secret(self, name: str, value: str) -> None:
        file = self.box.home.parent / f"{name}.secret"
        file.write_text(value)
        self.box.manage("secrets", "set", name, "--file", str(file))

    def kill(self, part: str) -> None:
        """End it as the kernel does, and wait until another life of it runs."""
        before = self.box.parts()[part]
        os.kill(before, signal.SIGKILL)

        def reborn() -> bool:
            return self.box.parts().get(part, before) != before

        wait_for(reborn, 40, f"{part} runs again")

    def wait_ready(self, seconds: float = 60) -> None:
        wait_for(self.box.ready, seconds, "the box is ready again")

    def runs_of(self, task: str) -> list[dict[str, Any]]:
        return self.sql(
            "SELECT r.* FROM runs_run r JOIN tasks_task t ON t.id = r.task_id WHERE t.name = %s ORDER BY r.id",
            task,
        )

    def finished(self, task: str, origin: str, since: str = "") -> dict[str, Any] | None:
        found = [
            row
            for row in self.runs_of(task)
            if row["origin"] == origin and row["state"] == "succeeded" and str(row["id"]) > since
        ]
        return found[-1] if found else None


def steady(work: Callable[[int], object], rate: float, seconds: float, first: int) -> list[int]:
    """``work`` at ``rate`` a second, whatever else happens meanwhile; gives the numbers used."""
    began, used = time.monotonic(), []
    for index in range(int(rate * seconds)):
        time.sleep(max(0.0, began + index / rate - time.monotonic()))
        work(first + index)
        used.append(first + index)
    return used


def twice_committed(heard: list[tuple[str, int, int, bool]]) -> list[str]:
    """Runs that did their first step again after it was committed: their second step was heard before."""
    seen: defaultdict[str, bool] = defaultdict(bool)
    wrong = []
    for run, _, step, repeat in heard:
        if step == 2:
            seen[run] = True
        elif seen[run] and not repeat:
            wrong.append(run)
    return wrong
