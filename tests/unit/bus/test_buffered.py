"""The buffered socket: large pieces between paho and the kernel, nothing lost, nothing out of order."""

import socket
from collections.abc import Iterator

import pytest

from appliance.bus.buffered import MOST_UNSENT, BufferedSocket


@pytest.fixture
def ends() -> Iterator[tuple[BufferedSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(5)
        yield BufferedSocket(ours), theirs


def test_single_bytes_come_from_one_read(ends: tuple[BufferedSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"abc")
    assert ours.recv(1) == b"a"
    theirs.sendall(b"def")
    assert ours.recv(10) == b"bc"
    assert ours.recv(10) == b"def"
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_the_end_is_an_empty_read(ends: tuple[BufferedSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"x")
    theirs.close()
    assert ours.recv(5) == b"x"
    assert ours.recv(5) == b""


def test_what_is_sent_waits_for_the_drain(ends: tuple[BufferedSocket, socket.socket]) -> None:
    ours, theirs = ends
    assert ours.send(b"one ") == 4
    assert ours.send(b"two") == 3
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(10)
    assert ours.drain()
    assert theirs.recv(10) == b"one two"


def test_too_much_is_not_taken_until_the_kernel_has_taken_some(
    ends: tuple[BufferedSocket, socket.socket],
) -> None:
    ours, theirs = ends
    block = bytes(range(256)) * 4096
    assert ours.send(block) == len(block)
    assert not ours.drain()
    assert len(block) > MOST_UNSENT
    with pytest.raises(BlockingIOError):
        ours.send(b"more")
    got = bytearray()
    while len(got) < len(block):
        got += theirs.recv(MOST_UNSENT)
        ours.drain()
    assert bytes(got) == block
    assert ours.send(b"more") == 4


def test_the_last_words_are_said_before_it_closes(ends: tuple[BufferedSocket, socket.socket]) -> None:
    ours, theirs = ends
    ours.send(b"goodbye")
    ours.close()
    assert theirs.recv(20) == b"goodbye"
    assert theirs.recv(20) == b""
