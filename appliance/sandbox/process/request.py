"""The door of the spawner: what comes in is checked key by key before anything is done with it."""

import json
import math
import socket

from appliance.sandbox.process import pins, wire
from appliance.sandbox.process.refused import Refused

__all__ = ["REQUEST_SECONDS", "Checkpoint", "Refused", "Request", "parse_group", "parse_request"]

_ENV_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_IN_A_FILE_NAME = _ENV_NAME | {"-", "."}
_IN_A_NAME = (_ENV_NAME - {"_"}) | {"-"}
_KEYS = frozenset(
    (
        "argv",
        "workdir",
        "env",
        "timeout",
        "reads",
        "writes",
        "output_limit",
        "limits",
        "live",
        "checkpoint",
        "pins",
        "executable",
        "cgroup",
        "files",
    )
)
_LIMIT_KEYS = frozenset(("memory", "processes", "open_files", "file_bytes", "cpu_seconds"))
_MAX_TIMEOUT = 7 * 86400.0
_MAX_OUTPUT = 16 << 20
_MAX_PATHS = 64
_MAX_FILES = 64
_CHECKPOINT_KEYS = frozenset(("limit", "every", "initial"))
_MAX_CHECKPOINT = 48 << 20
REQUEST_SECONDS = 5.0


class Checkpoint:
    """What is kept of a job's checkpoint file; ``initial`` bytes of an earlier one follow the request."""

    __slots__ = ("every", "initial", "limit")

    def __init__(self, given: dict[str, object]) -> None:
        self.limit = _whole(given["limit"], "checkpoint limit", 1, _MAX_CHECKPOINT)
        self.every = _seconds(given["every"])
        self.initial = _whole(given["initial"], "checkpoint initial", 0, self.limit)


class Request:
    """A job that passed the door."""

    __slots__ = (
        "argv", "cgroup", "checkpoint", "cpu_seconds", "env", "executable", "file_bytes", "files", "live",
        "memory", "open_files", "output_limit", "pins", "processes", "reads", "timeout", "workdir", "writes",
    )  # fmt: skip

    def __init__(self, given: dict[str, object]) -> None:
        self.argv = _texts(given["argv"], "argv", 4096)
        if not self.argv or not self.argv[0]:
            raise Refused("The job has no command.")
        self.env = _environment(given["env"])
        self.timeout = _seconds(given["timeout"])
        self.workdir = None if given["workdir"] is None else _path(given["workdir"], "workdir")
        self.reads = [_path(item, "reads") for item in _list(given["reads"], "reads", _MAX_PATHS)]
        self.writes = [_path(item, "writes") for item in _list(given["writes"], "writes", _MAX_PATHS)]
        self.output_limit = _whole(given["output_limit"], "output_limit", 0, _MAX_OUTPUT)
        self.live = given["live"] is True
        self.pins = pins.read(given["pins"])
        self.executable = _path(given["executable"], "executable") if given["executable"] else ""
        self.cgroup = _name(given["cgroup"], "cgroup")
        self.files = _files(given["files"])
        asked = given["checkpoint"]
        self.checkpoint = (
            None if asked is None else Checkpoint(_object(asked, "checkpoint", _CHECKPOINT_KEYS))
        )
        if (self.checkpoint or self.files) and self.workdir is not None:
            raise Refused("Only a job's private working folder has files from the box.")
        limits = _object(given["limits"], "limits", _LIMIT_KEYS)
        self.memory = _whole(limits["memory"], "memory", 1 << 20, 1 << 50)
        self.processes = _whole(limits["processes"], "processes", 1, 1 << 16)
        self.open_files = _whole(limits["open_files"], "open_files", 16, 1 << 20)
        self.file_bytes = _whole(limits["file_bytes"], "file_bytes", 0, 1 << 50)
        cpu = limits["cpu_seconds"]
        self.cpu_seconds = None if cpu is None else _whole(cpu, "cpu_seconds", 1, 1 << 30)


def read_frame(connection: socket.socket) -> tuple[bytes, bytes]:
    """What a client wants: kind and payload. Raises Refused, TimeoutError, ConnectionError, EOFError."""
    connection.settimeout(REQUEST_SECONDS)
    kind, length = wire.HEADER.unpack(read_exactly(connection, wire.HEADER.size))
    if kind not in (wire.REQUEST, wire.PROBE, wire.PREPARE) or length > wire.MAX_REQUEST:
        raise Refused(f"A request is one frame of at most {wire.MAX_REQUEST} bytes.")
    return kind, read_exactly(connection, length)


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """So many bytes. Raises as ``read_frame``."""
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), 1 << 16))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def parse_request(raw: bytes) -> Request:
    """Read a job. Raises Refused."""
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused("The job is not valid JSON.") from error
    return Request(_object(given, "job", _KEYS))


def parse_group(raw: bytes) -> str:
    """Read the name of a job's control group; empty for none. Raises Refused."""
    return _name(raw.decode("ascii", "replace"), "cgroup")


def _object(value: object, name: str, keys: frozenset[str]) -> dict[str, object]:
    if not isinstance(value, dict) or set(value) != keys:
        raise Refused(f"{name} must be an object with exactly the keys {', '.join(sorted(keys))}.")
    return value


def _list(value: object, name: str, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise Refused(f"{name} must be a list of at most {most} items.")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise Refused(f"{name} must be text without a NUL character.")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Refused(f"{name} holds half of a character.") from error
    return value


def _texts(value: object, name: str, most: int) -> list[str]:
    return [_text(item, name) for item in _list(value, name, most)]


def _path(value: object, name: str) -> str:
    path = _text(value, name)
    if not path.startswith("/"):
        raise Refused(f"{name} must hold absolute paths, not {path!r}.")
    return path


def _name(value: object, name: str) -> str:
    """A name that leads nowhere else as part of a path; or empty."""
    text = _text(value, name)
    if text and not (len(text) < 64 and _IN_A_NAME.issuperset(text)):
        raise Refused(f"{name} must be a name of letters, digits and hyphens.")
    return text


def _files(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_FILES:
        raise Refused(f"files must be an object of at most {_MAX_FILES} names.")
    for name in value:
        if not isinstance(name, str) or name[:1] in ("", ".", "-") or not _IN_A_FILE_NAME.issuperset(name):
            raise Refused(f"{name!r} is not the name of a file in the working folder.")
    return {name: _text(text, f"file {name}") for name, text in value.items()}


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > 1024:
        raise Refused("env must be an object of at most 1024 names.")
    for name in value:
        if not isinstance(name, str) or not name or name[0].isdigit() or not _ENV_NAME.issuperset(name):
            raise Refused(f"{name!r} is not the name of an environment variable.")
    return {name: _text(text, f"env {name}") for name, text in value.items()}


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(f"{name} must be a whole number from {least} to {most}.")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Refused("timeout must be a number of seconds.")
    if not 0 < value <= _MAX_TIMEOUT:
        raise Refused("timeout must be more than 0 seconds and at most 7 days.")
    return float(value)
