"""The programs that were looked at before a job was allowed are those that run, or the job is refused."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH116, PTH123

import os

from appliance.sandbox.process.refused import Refused

Pins = dict[str, tuple[str, tuple[int, ...]]]
"""Real path -> its SHA-256 in hexadecimal, and what the file was then: device, inode, size, mtime, ctime (ns)."""

_MOST = 128


def read(value: object) -> Pins:
    """The pins of a request. Raises Refused."""
    if not isinstance(value, dict) or len(value) > _MOST:
        raise Refused(f"pins must be an object of at most {_MOST} paths.")
    found: Pins = {}
    for path, pin in value.items():
        if not (isinstance(path, str) and path.startswith("/") and isinstance(pin, list) and len(pin) == 2):
            raise Refused("Each of the pins must be an absolute path with a digest and what the file was.")
        digest, seen = pin
        if not isinstance(digest, str) or not isinstance(seen, list):
            raise Refused("Each of the pins must be an absolute path with a digest and what the file was.")
        found[path] = digest, tuple(number for number in seen if isinstance(number, int))
    return found


def check_pins(pins: Pins) -> None:
    """Each program is what it was when the job was allowed. Raises Refused with the one that is not."""
    for path, (digest, seen) in pins.items():
        try:
            if _identity(path) != seen and _digest(path) != digest:
                raise Refused(
                    f"{path} is not the program that was looked at when this command was allowed.",
                    "It was changed since. Run the step again, so that it is looked at anew.",
                )
        except OSError as error:
            raise Refused(
                f"{path}, which this command runs, cannot be looked at: {error.strerror}."
            ) from error


def _identity(path: str) -> tuple[int, ...]:
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: str) -> str:
    import hashlib  # at first use: most jobs never need it

    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()
