"""A real round trip over a further broker: log in, subscribe, publish, and get the message back."""

import secrets
import threading
import time
from dataclasses import dataclass, field

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from appliance.bus.address import BusAddress
from appliance.bus.errors import BusAway
from appliance.bus.wire import make_client


class BrokerSilent(BusAway):
    """The broker took the log-in, and the round trip did not come to its end."""

    code = "bus.broker_silent"


@dataclass
class _Trip:
    """One client on its way; ``stage`` says how far it came."""

    topic: str
    token: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    stage: str = "it did not answer the log-in"
    failure: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    def attach(self, client: Client) -> None:
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._subscribed, self._came
        client.on_publish = self._published

    def _fail(self, why: str) -> None:
        if not self.done.is_set():
            self.failure = why
            self.done.set()

    def _connected(self, client: Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            self._fail(f"it refused the log-in: {reason}")
            return
        self.stage = "it took the log-in, and did not answer the subscription"
        client.subscribe(self.topic, 1)

    def _subscribed(
        self, client: Client, _u: object, _mid: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._fail(f"it took the log-in, but this account may not read {self.topic}")
            return
        self.stage = "it took the subscription, and did not confirm the message"
        client.publish(self.topic, self.token, 1)

    def _published(self, *_arguments: object) -> None:
        self.stage = (
            f"it confirmed the message and did not bring it back: may this account write {self.topic}?"
        )

    def _came(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if bytes(message.payload) == self.token:
            self.done.set()

    def _disconnected(self, _c: object, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        self._fail(f"{self.stage}; it ended the connection: {reason}")


def round_trip(address: BusAddress, topic: str, client_id: str = "", *, timeout: float = 5.0) -> float:
    """Seconds of one round trip at QoS 1 over ``topic``. Blocks up to ``timeout`` seconds for it.

    Raises BusAway (no connection), BrokerSilent (how far it came), BadBusAddress.
    """
    trip = _Trip(topic)
    client = make_client(address, client_id, clean=True, timeout=timeout)
    trip.attach(client)
    try:
        client.connect(address.host, address.port)
    except (OSError, ValueError) as error:
        raise BusAway(f"no connection to {address.host}:{address.port}: {error}") from error
    began = time.monotonic()
    client.loop_start()
    try:
        if not trip.done.wait(timeout):
            raise BrokerSilent(f"within {timeout:g} s {trip.stage}")
        if trip.failure:
            raise BrokerSilent(trip.failure)
        return time.monotonic() - began
    finally:
        client.disconnect()
        client.loop_stop()
