"""Does the broker answer? A log-in and nothing else: an open socket proves nothing."""

import time

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from appliance.bus.address import BusAddress
from appliance.bus.errors import BusAway
from appliance.bus.wire import make_client


def greet(url: str, *, timeout: float = 2.0) -> None:
    """Log in to the broker and leave. Blocks up to twice ``timeout`` seconds, once to connect, once to log in.

    Raises BadBusAddress; BusAway with the reason when the broker does not let us in.
    """
    address = BusAddress.parse(url)
    answers: list[ReasonCode] = []

    def on_connect(_c: Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        answers.append(reason)

    client = make_client(address, "", clean=True, timeout=timeout)
    client.on_connect = on_connect
    try:
        client.connect(address.host, address.port)
    except (OSError, ValueError) as error:
        raise BusAway(f"no connection: {getattr(error, 'strerror', None) or error}") from error
    deadline = time.monotonic() + timeout
    try:
        while not answers:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusAway(f"it did not answer the log-in within {timeout:g} s")
            if client.loop(left) is not MQTTErrorCode.MQTT_ERR_SUCCESS and not answers:
                raise BusAway("it ended the connection")
    finally:
        client.disconnect()
    if answers[0].is_failure:
        raise BusAway(f"it refused the log-in: {answers[0]}")
