"""A second machine for a test: a network namespace at the other end of a cable that can be pulled."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class NoNamespace(Exception):
    """It cannot be made here."""


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespace(f"ip {' '.join(words)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """``near`` is our address on the cable, ``far`` that of the other machine."""

    name: str
    near: str
    far: str
    cable: str

    def make(self, thing: Callable[[], T]) -> T:
        """Call ``thing`` over there. Sockets that it opens, and threads that it starts, stay there."""
        made: list[T] = []
        failed: list[BaseException] = []

        def there() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open() as namespace:
                    if _libc.setns(namespace.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(thing())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def pull(self) -> None:
        """The other machine's plug: ours loses its carrier."""
        ip("-n", self.name, "link", "set", self.cable, "down")

    def plug(self) -> None:
        ip("-n", self.name, "link", "set", self.cable, "up")


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Raises NoNamespace."""
    number = os.getpid()
    net = f"10.{200 + number % 50}.{number // 50 % 250}"
    found = Elsewhere(f"mw-{number}", f"{net}.1", f"{net}.2", f"mwb{number}")
    ours = f"mwa{number}"
    ip("netns", "add", found.name)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", found.cable, "netns", found.name)
        ip("address", "add", f"{found.near}/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", found.name, "address", "add", f"{found.far}/30", "dev", found.cable)
        ip("-n", found.name, "link", "set", "lo", "up")
        found.plug()
        yield found
    finally:
        ip("netns", "del", found.name)
