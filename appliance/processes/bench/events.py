"""MQTT event in, action, MQTT message out: latency at a steady rate (open loop, from when an event was due)."""

import json
import socket
import time
from pathlib import Path
from threading import Event

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, percentile

TASK = """
- name: bench_echo
  triggers:
    - mqtt: {topic: "bench/in/{dev}", payload: json}
      when: "{{ payload.value > 50 }}"
  actions:
    - type: mqtt
      topic: "bench/out/{{ dev }}"
      payload: {seq: "{{ payload.seq }}", t: "{{ payload.t }}"}
- name: bench_shell
  triggers:
    - mqtt: {topic: "bench/shell/{dev}", payload: json}
  actions:
    - {type: shell, args: ["/bin/true"]}
    - type: mqtt
      topic: "bench/out/{{ dev }}"
      payload: {seq: "{{ payload.seq }}", t: "{{ payload.t }}"}
"""
DEVICES = 100


class Echo:
    """Publishes events on schedule and collects what comes back."""

    def __init__(self, box: Box, path: str) -> None:
        host, port, user, password = box.broker
        self._path = path
        self.came: dict[int, list[float]] = {}
        self._subscribed = Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "bench", protocol=MQTTProtocolVersion.MQTTv311)
        self._client.username_pw_set(user, password)
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.max_inflight_messages_set(1000)
        self._client.connect(host, port)
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.loop_start()
        self._client.subscribe("bench/out/+", 1)
        self._subscribed.wait(10)

    def _message(self, client: Client, data: object, message: MQTTMessage) -> None:
        body = json.loads(message.payload)
        self.came.setdefault(int(body["seq"]), []).append(time.monotonic() - float(body["t"]))

    def run(self, rate: float, seconds: float, first: int = 0) -> list[int]:
        """Events at ``rate`` a second, every other one matching; gives the numbers that must come back."""
        began, wanted = time.monotonic() + 0.1, []
        for index in range(int(rate * seconds)):
            due = began + index / rate
            time.sleep(max(0.0, due - time.monotonic()))
            sequence, matching = first + index, index % 2 == 0
            body = {"seq": sequence, "t": due, "value": 90 if matching else 10}
            self._client.publish(f"bench/{self._path}/d{index % DEVICES}", json.dumps(body), qos=1)
            if matching or self._path != "in":
                wanted.append(sequence)
        return wanted

    def wait(self, wanted: list[int], seconds: float) -> int:
        """Wait for all; gives how many are missing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(number not in self.came for number in wanted):
            time.sleep(0.05)
        return sum(number not in self.came for number in wanted)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def load_task(box: Box) -> None:
    file = Path(box.home.parent) / "bench.yaml"
    file.write_text(TASK)
    file.chmod(0o644)
    box.manage("tasks", "apply", str(file))
    time.sleep(2)


def measure(box: Box, path: str, rate: float, seconds: float, name: str, bar: float | None) -> list[Row]:
    """Latency rows ``<name>_p50_ms`` and ``<name>_p99_ms``, and what was lost or came twice."""
    echo = Echo(box, path)
    try:
        warm = echo.run(rate, 3, 10_000_000)
        echo.wait(warm, 10)
        wanted = echo.run(rate, seconds)
        lost = echo.wait(wanted, 15)
        times = [echo.came[number][0] * 1000 for number in wanted if number in echo.came]
        twice = sum(len(echo.came[number]) - 1 for number in wanted if number in echo.came)
    finally:
        echo.close()
    if not times:
        raise RuntimeError(f"{name}: nothing came back")
    return [
        Row(f"{name}_p50_ms", round(percentile(times, 0.5), 2), "ms", "lower", bar),
        Row(f"{name}_p99_ms", round(percentile(times, 0.99), 2), "ms", "lower"),
        Row(f"{name}_lost", lost, "events", "lower", 0),
        Row(f"{name}_twice", twice, "events", "lower", 0),
    ]
