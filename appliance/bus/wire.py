"""How every paho client of the product is made: MQTT 3.1.1, no resending of its own, log-in and TLS."""

import socket

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from appliance.bus.address import BusAddress
from appliance.bus.buffered import BufferedSocket
from appliance.bus.ports import Will


class BufferedClient(Client):
    """For an event loop that drains its socket (`BufferedSocket`) once per turn."""

    def _create_socket(self) -> BufferedSocket:
        sock = super()._create_socket()
        assert isinstance(sock, socket.socket)
        _send_at_once(None, None, sock)
        return BufferedSocket(sock)


def make_client(
    address: BusAddress,
    client_id: str,
    *,
    clean: bool,
    timeout: float,
    will: Will | None = None,
    kind: type[Client] = Client,
) -> Client:
    """A client that is not connected. Raises BadBusAddress for certificates that cannot be read."""
    client = kind(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=clean,
        protocol=MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = timeout
    client.max_inflight_messages = 0  # no window of paho's: publishers wait for their own PUBACK
    client.on_socket_open = _send_at_once
    if address.username:
        client.username_pw_set(address.username, address.password)
    if will:
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    context = address.tls_context()
    if context:
        client.tls_set_context(context)
        client.tls_insecure_set(not address.verify)
    return client


def _send_at_once(_client: object, _userdata: object, sock: object) -> None:
    # Without it, a small packet can wait 40 ms for the acknowledgement of the one before.
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
