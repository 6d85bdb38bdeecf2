"""A SOCKS5 server (RFC 1928, RFC 1929) on loopback: what a bridge says goes through it, or does not arrive."""

import select
import socket
import socketserver
import struct
import threading
from types import TracebackType
from typing import Self

from tests.standins.server import LOOKS_EVERY


class SocksProxy:
    """Takes user name and password where ``user`` is given. ``asked`` has every target: ``(host, port)``.

    Names are not resolved as such: ``names`` maps each that a test means to the address that it means.
    """

    def __init__(self, user: str = "", password: str = "", names: dict[str, str] | None = None) -> None:
        self.user, self.password, self.names = user, password, names or {}
        self.asked: list[tuple[str, int]] = []
        self.refused = 0
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOKS_EVERY,), daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, scheme: str = "socks5") -> str:
        account = f"{self.user}:{self.password}@" if self.user else ""
        return f"{scheme}://{account}{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    proxy: SocksProxy


class _Talk(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        proxy, client = self.server.proxy, self.request
        version, count = self._read(2)
        methods = self._read(count)
        wanted = 2 if proxy.user else 0
        if version != 5 or wanted not in methods:
            client.sendall(b"\x05\xff")
            return
        client.sendall(bytes([5, wanted]))
        if proxy.user and not self._knows():
            proxy.refused += 1
            client.sendall(b"\x01\x01")
            return
        target = self._target()
        if target is None:
            client.sendall(b"\x05\x07\x00\x01" + bytes(6))
            return
        proxy.asked.append(target)
        try:
            far = socket.create_connection((proxy.names.get(target[0], target[0]), target[1]), 5)
        except OSError:
            client.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        with far:
            _pump(client, far)

    def _knows(self) -> bool:
        _, length = self._read(2)
        user = self._read(length)
        password = self._read(self._read(1)[0])
        known = (user.decode(), password.decode()) == (self.server.proxy.user, self.server.proxy.password)
        if known:
            self.request.sendall(b"\x01\x00")
        return known

    def _target(self) -> tuple[str, int] | None:
        _, command, _, kind = self._read(4)
        match kind:
            case 1:
                host = socket.inet_ntoa(self._read(4))
            case 3:
                host = self._read(self._read(1)[0]).decode()
            case 4:
                host = socket.inet_ntop(socket.AF_INET6, self._read(16))
            case _:
                return None
        (port,) = struct.unpack(">H", self._read(2))
        return (host, port) if command == 1 else None

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.request.recv(length - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data


def _pump(one: socket.socket, other: socket.socket) -> None:
    pairs = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(pairs), [], [], 30)
        for source in ready:
            try:
                data = source.recv(65536)
            except OSError:
                return
            if not data:
                return
            pairs[source].sendall(data)
        if not ready:
            return
