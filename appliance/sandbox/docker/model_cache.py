"""Where engines keep what they compiled: a folder for each image, which only guard's own user can exchange."""

import os
from pathlib import Path

from appliance.sandbox.docker.mounts import Mount
from appliance.sandbox.process.request import Refused

WRITABLE_BY_OTHERS = 0o022
"""Of the group, and of everybody: either could exchange what engines load."""
_ENGINES = "engines"
_MODE = 0o755
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_cache(root: Path, digest: str, place: str) -> Mount:
    """``<root>/engines/<digest>`` for ``place``, made where it is missing, and held open. Raises Refused.

    What is there already keeps its mode, as it may be a person's own folder; an image's part alone is always guard's.
    """
    try:
        root.mkdir(mode=_MODE, parents=True, exist_ok=True)
        folder = _own(os.open(root, _FOLDER), root)
        for name in (_ENGINES, digest):
            folder = _below(folder, name, root)
        os.fchmod(
            folder, _MODE
        )  # an engine's user goes through it to a folder of its own, whatever the umask was
    except OSError as error:
        raise Refused(
            f"The folder for caches {root} cannot be used: {error.strerror}.",
            "It is a folder of guard's user, and no link: MILLWRIGHT_CACHE names it.",
        ) from error
    return Mount(place, str(Path(f"/proc/self/fd/{folder}").readlink()), folder, writable=True)


def _below(folder: int, name: str, root: Path) -> int:
    try:
        if name not in os.listdir(folder):
            os.mkdir(name, _MODE, dir_fd=folder)
        found = os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
    return _own(found, root)


def _own(folder: int, root: Path) -> int:
    """Whoever owns a folder, or may write in it, can put another in the place of what is in it."""
    state = os.fstat(folder)
    if state.st_uid != os.geteuid():
        os.close(folder)
        raise Refused(
            f"The folder for caches {root}, or one in it, belongs to somebody else than guard's user.",
            "Change its owner, or name another in MILLWRIGHT_CACHE.",
        )
    if state.st_mode & WRITABLE_BY_OTHERS:
        real = Path(f"/proc/self/fd/{folder}").readlink()
        os.close(folder)
        raise Refused(
            f"The folder for caches {real} may be written by others than its owner.",
            f"`chmod go-w {real}`, or name another in MILLWRIGHT_CACHE.",
        )
    return folder
