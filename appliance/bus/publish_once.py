"""One message from a process that keeps no connection: the web admin's publish form, a command."""

import threading
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from appliance.bus.address import BusAddress
from appliance.bus.errors import BusAway, PayloadTooLarge
from appliance.bus.topics import check_topic
from appliance.bus.wire import make_client

_MAX_PAYLOAD = 1024 * 1024


def publish_once(
    url: str | BusAddress,
    topic: str,
    payload: bytes,
    *,
    retain: bool = False,
    timeout: float = 5.0,
    max_payload: int = _MAX_PAYLOAD,
) -> None:
    """Connect, publish with QoS 1, return at the PUBACK, disconnect. Blocks up to ``timeout`` seconds.

    Raises TopicRefused, PayloadTooLarge, BadBusAddress; BusAway when it is not confirmed.
    """
    check_topic(topic)
    if len(payload) > max_payload:
        raise PayloadTooLarge(f"a payload of {len(payload)} bytes on {topic}", hint=f"at most {max_payload}")
    address = BusAddress.parse(url) if isinstance(url, str) else url
    answered = threading.Event()
    refusal: list[str] = []

    def on_connect(client: Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            refusal.append(f"the broker refused the log-in: {reason}")
            answered.set()
        else:
            client.publish(topic, payload, 1, retain)

    def on_publish(*_arguments: Any) -> None:
        answered.set()

    def on_disconnect(_c: object, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        if not answered.is_set():
            refusal.append(f"the broker ended the connection: {reason}")
            answered.set()

    client = make_client(address, "", clean=True, timeout=timeout)
    client.on_connect, client.on_publish, client.on_disconnect = on_connect, on_publish, on_disconnect
    try:
        client.connect(address.host, address.port)
    except (OSError, ValueError) as error:
        raise BusAway(f"no connection to {address.host}:{address.port}: {error}") from error
    client.loop_start()
    try:
        if not answered.wait(timeout):
            raise BusAway(f"the broker did not confirm {topic} within {timeout:g} s")
        if refusal:
            raise BusAway(refusal[0])
    finally:
        client.disconnect()
        client.loop_stop()
