"""Files that are there after a power cut, and that the engines' user can read."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_BLOCK = 4 << 20
_FICLONE = 0x40049409  # linux/fs.h
FOLDER_MODE, FILE_MODE = 0o755, 0o644
"""Weights are no secret, and engines run as another user; the home above decides who gets here."""


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, owner: tuple[int, int] | None) -> None:
    """With what is missing above it, up to one that is there."""
    if folder.is_dir():
        return
    make_folder(folder.parent, owner)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    if owner is not None:
        os.chown(folder, *owner)


def settle(file: Path, owner: tuple[int, int] | None) -> None:
    """Give it its mode and owner, and see that it is on the disk."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, FILE_MODE)
        if owner is not None:
            os.fchown(handle, *owner)
        os.fsync(handle)
    finally:
        os.close(handle)


def hash_file(file: Path, on_bytes: Callable[[int], None]) -> str:
    """SHA-256; ``on_bytes`` is told how many more were read. Raises OSError."""
    found = hashlib.sha256()
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as opened:
        while block := opened.read(_BLOCK):
            found.update(block)
            on_bytes(len(block))
    return found.hexdigest()


def copy_file(source: Path, target: Path, on_bytes: Callable[[int], None]) -> str:
    """A new file with the same content; gives its SHA-256. Blocks are shared where that can be. Raises OSError."""
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(reading, "rb", buffering=0) as given, target.open("xb", buffering=0) as made:
        try:
            fcntl.ioctl(made.fileno(), _FICLONE, given.fileno())
        except OSError:
            return _copy(given.readinto, made.write, on_bytes)
    return hash_file(target, on_bytes)


def _copy(
    read: Callable[[memoryview], int | None],
    write: Callable[[memoryview], int | None],
    on_bytes: Callable[[int], None],
) -> str:
    found, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    while count := read(block):
        found.update(block[:count])
        rest = block[:count]
        while rest:
            rest = rest[write(rest) or 0 :]
        on_bytes(count)
    return found.hexdigest()
