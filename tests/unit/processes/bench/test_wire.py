"""The measuring client speaks MQTT 3.1.1 as the standard writes it, however the packets are cut on the way."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.processes.bench.wire import Wire

CONNACK, SUBACK, PUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01", b"\x40\x02\x00\x01"


class Server:
    """The broker's end of one connection, byte by byte."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connect = b""
        self.answer = CONNACK
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        self.socket, _ = self._listening.accept()
        self.socket.settimeout(5)
        self.connect = self.socket.recv(1000)
        self.socket.sendall(self.answer)

    def accepted(self) -> None:
        self._thread.join(5)

    def close(self) -> None:
        self.accepted()
        self.socket.close()
        self._listening.close()


@contextmanager
def talking(user: str = "", password: str = "") -> Iterator[tuple[Server, Wire]]:
    server = Server()
    wire = Wire("127.0.0.1", server.port, user, password, "me")
    server.accepted()
    try:
        yield server, wire
    finally:
        wire.close()
        server.close()


def published(topic: bytes, payload: bytes, mid: int) -> bytes:
    """A PUBLISH of QoS 1 (section 3.3), for lengths of one or two bytes."""
    body = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big") + payload
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 0x80, len(body) // 128])
    return b"\x32" + length + body


def heard(wire: Wire) -> list[bytes]:
    wire.pump(1)
    return list(wire.messages())


def sent(server: Server, wire: Wire) -> bytes:
    wire.pump(0)
    return server.socket.recv(100_000)


def test_it_connects_without_a_name_where_none_is_given() -> None:
    with talking() as (server, _):
        assert server.connect == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"


def test_it_connects_with_name_and_password() -> None:
    with talking("box", "secret") as (server, _):
        assert server.connect == b"\x10\x1b\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02me\x00\x03box\x00\x06secret"


def test_a_refused_log_in_is_an_error() -> None:
    server = Server()
    server.answer = b"\x20\x02\x00\x05"
    with pytest.raises(ConnectionError, match=r"refused the log-in \(5\)"):
        Wire("127.0.0.1", server.port, "box", "wrong", "me")
    server.close()


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 120, b"x" * 121, b"x" * 20_000])
def test_what_it_publishes_has_the_length_of_its_body(payload: bytes) -> None:
    with talking() as (server, wire):
        wire.publish("a/b", payload)
        packet = sent(server, wire)
    assert packet == b"\x32" + length_of(3 + 2 + 2 + len(payload)) + b"\x00\x03a/b\x00\x01" + payload


def length_of(number: int) -> bytes:
    """As section 2.2.3 has it, most often in one byte."""
    if number < 128:
        return bytes([number])
    rest = length_of(number // 128)
    return bytes([number % 128 | 0x80]) + rest


def test_a_message_is_given_once_and_acknowledged() -> None:
    with talking() as (server, wire):
        server.socket.sendall(published(b"out/1", b"hello", 7))
        assert heard(wire) == [b"hello"]
        assert sent(server, wire) == b"\x40\x02\x00\x07"
        assert list(wire.messages()) == []


def test_a_message_of_qos_0_has_no_number_and_no_answer() -> None:
    with talking() as (server, wire):
        server.socket.sendall(b"\x30\x08\x00\x01thello")
        assert heard(wire) == [b"hello"]
        server.socket.sendall(PUBACK)
        assert heard(wire) == []
        assert wire.acknowledged == 1


def test_packets_that_are_cut_anywhere_come_whole() -> None:
    stream = published(b"out/1", b"one", 1) + PUBACK + published(b"out/2", b"two" * 100, 2)
    for cut in range(1, len(stream)):
        with talking() as (server, wire):
            server.socket.sendall(stream[:cut])
            first = heard(wire)
            server.socket.sendall(stream[cut:])
            assert first + heard(wire) == [b"one", b"two" * 100], cut
            assert wire.acknowledged == 1


def test_a_broker_that_goes_is_an_error() -> None:
    with talking() as (server, wire):
        server.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="closed the connection"):
            wire.pump(1)
