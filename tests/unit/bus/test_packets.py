"""PUBLISH and PUBACK as MQTT 3.1.1 writes them, in whatever pieces they come."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bus import packets
from appliance.bus.buffered import BufferedSocket
from appliance.bus.packets import Incoming


def parts(packet: bytes) -> tuple[int, bytes]:
    found = packets.frame(packet, 0)
    assert found is not None
    assert found[1] == len(packet)
    return packet[0], packet[slice(*found)]


def test_a_publish_is_written_as_in_the_standard() -> None:
    assert packets.publish("a/b", b"xy", 10, retain=False) == b"\x32\x09\x00\x03a/b\x00\x0axy"
    assert packets.publish("a/b", b"", 0, retain=True) == b"\x31\x05\x00\x03a/b"
    assert packets.puback(0x1234) == b"\x40\x02\x12\x34"


@given(
    st.text(max_size=40).filter(lambda text: "\x00" not in text),
    st.binary(max_size=300),
    st.integers(0, 65535),
)
def test_what_is_written_is_read_again(topic: str, payload: bytes, mid: int) -> None:
    head, body = parts(packets.publish(topic, payload, mid, retain=True))
    read = packets.read_publish(head | 0x08, body)
    assert read == Incoming(topic, payload, int(bool(mid)), True, True, mid)


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_383, 16_384, 70_000, 2_097_152])
def test_a_packet_is_there_when_its_last_byte_is(size: int) -> None:
    packet = packets.publish("t", bytes(size), 7, retain=False)
    head, body = parts(packet)
    assert len(body) == size + 5
    for short in {1, 2, 3, 4, 5, len(packet) // 2, len(packet) - 1} - {len(packet)}:
        assert packets.frame(packet[:short], 0) is None
    assert packets.read_publish(head, body) == Incoming("t", bytes(size), 1, False, False, 7)


@pytest.mark.parametrize(
    ("head", "body"),
    [(0x34, b"\x00\x01t\x00\x01"), (0x32, b"\x00\x09t\x00\x01"), (0x32, b"\x00\x01t"), (0x30, b"\x00")],
    ids=["QoS 2", "a topic longer than the packet", "no packet id", "no topic"],
)
def test_what_is_not_for_us_is_left_to_paho(head: int, body: bytes) -> None:
    assert packets.read_publish(head, body) is None


def test_a_topic_that_is_no_text_is_none() -> None:
    assert packets.read_publish(0x32, b"\x00\x02\xff\xfe\x00\x09x") == Incoming(
        None, b"x", 1, False, False, 9
    )


def test_a_length_that_never_ends_is_handed_on() -> None:
    assert packets.frame(b"\x30\xff\xff\xff\xff\x01", 0) == (0, 0)


def test_packets_come_out_of_any_pieces() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        buffered = BufferedSocket(ours)
        wanted = [packets.publish("t", bytes([n]) * n, n + 1, retain=False) for n in range(200)]
        stream, found = b"".join(wanted), []
        for at in range(0, len(stream), 17):
            theirs.sendall(stream[at : at + 17])
            assert buffered.fill()
            while (packet := buffered.packet()) is not None:
                found.append(packets.read_publish(*packet))
                buffered.skip()
        assert [one.payload for one in found if one] == [bytes([n]) * n for n in range(200)]
        assert not buffered.fill()
        theirs.sendall(wanted[5])
        theirs.close()
        assert buffered.fill()
        assert buffered.packet() is not None, "what came before the end counts"
        buffered.skip()
        assert buffered.fill()
        assert buffered.ended
        assert buffered.recv(5) == b""
