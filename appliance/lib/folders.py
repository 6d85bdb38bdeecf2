"""Folders that services own, as root's commands use them: opened once, never through a link, and then by handle.

The services' user can put a link in place of any folder of its own, also between two calls of ours.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from appliance.lib.home import HomeUnusable

FOLDER_ITSELF = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)
"""What opening with FOLDER_ITSELF gives for a link or a file."""


@contextlib.contextmanager
def held_folder(path: Path, mode: int = 0o700) -> Iterator[int]:
    """A handle of this folder, made with ``mode`` where it is missing. Raises HomeUnusable for a link, OSError."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
    try:
        handle = os.open(path, FOLDER_ITSELF)
    except OSError as error:
        if error.errno not in NO_FOLDER:
            raise
        raise not_its_own(path) from error
    try:
        yield handle
    finally:
        os.close(handle)


def inside(handle: int) -> Path:
    """The folder of a handle as a path: what is done below it is done in this folder, whatever its name leads to."""
    return Path(f"/proc/self/fd/{handle}")


def not_its_own(path: Path) -> HomeUnusable:
    return HomeUnusable(
        f"{path} is not a folder of this box but a link or a file",
        hint="look at who put it there, remove it, and start again",
    )
