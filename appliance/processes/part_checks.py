"""Whether each part of the box answers. Every check is bounded in time and never raises."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis

from appliance.bus.greeting import greet
from appliance.lib.config import Config
from appliance.lib.errors import MillwrightError
from appliance.lib.listening import ANYWHERE
from appliance.processes.models import PartBeat

STALE = timedelta(seconds=15)
"""Without a sign of life for longer than this a process counts as away."""

SIGNING = ("reactor", "worker", "beat", "keeper")
"""Processes that write signs of life."""

DISK_FULL = 32 * 1024 * 1024
"""Bytes with which the box does not go on: PostgreSQL writes its log in files of 16 MiB."""

_ACCEPTS = 0x10000  # __SO_ACCEPTCON, linux/net.h


@dataclass(frozen=True, slots=True)
class PartState:
    """One part of the box: fine or not, and why."""

    healthy: bool
    message: str = ""
    required: bool = True
    """Whether the box is ready only with it. A broker of somebody else's may be away."""


def redis_state(config: Config) -> PartState:
    try:
        with redis.Redis.from_url(config.redis_url, socket_timeout=1, socket_connect_timeout=1) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return PartState(False, f"no answer: {str(error)[:200]}")
    return PartState(True)


def broker_state(config: Config) -> PartState:
    """By a log-in: a frozen broker keeps its port open."""
    try:
        greet(config.mqtt_url, timeout=1)
    except MillwrightError as error:
        return PartState(False, error.message[:200])
    return PartState(True)


def web_state(config: Config) -> PartState:
    host, port = config.http_listen
    return _listens("127.0.0.1" if host in ANYWHERE else host, port)


def spawner_state(config: Config, sockets: Path = Path("/proc/net/unix")) -> PartState:
    """Whether its socket listens, as the kernel says: each connection would take one of the few helpers that it keeps
    ready, and its process is nobody's to look at on a box that root started."""
    return listens_on(config.home.spawner_socket, sockets)


def listens_on(path: Path, sockets: Path = Path("/proc/net/unix")) -> PartState:
    """Whether somebody listens on a unix socket."""
    door = str(path)
    try:
        lines = sockets.read_text(errors="replace").splitlines()
    except OSError as error:
        return PartState(False, f"not known: {error.strerror}")
    # Num RefCount Protocol Flags Type St Inode Path
    listens = any(len(f) == 8 and f[7] == door and int(f[3], 16) & _ACCEPTS for f in map(_fields, lines[1:]))
    listens = listens or _takes_connections(path)
    return PartState(listens, "" if listens else "nothing listens on its socket")


def _takes_connections(path: Path) -> bool:
    """The kernel's list is that of one network namespace: what listens in another container is not in it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def disk_state(config: Config) -> PartState:
    """Room on the disk of the home: low below ``MILLWRIGHT_DISK_FREE``, with which the box still works, or full."""
    try:
        found = os.statvfs(config.home.path)
    except OSError as error:
        return PartState(False, f"not known: {error.strerror}", required=False)
    # What is kept back for root is no room for the services.
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    said = f"{_megabytes(free)} free of {_megabytes(size)}"
    if free < DISK_FULL:
        return PartState(False, f"full: {said}")
    if free < config.disk_free:
        return PartState(
            False, f"low: {said}, MILLWRIGHT_DISK_FREE is {_megabytes(config.disk_free)}", required=False
        )
    return PartState(True, said, required=False)


def _megabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e10 else f"{count / 1e6:,.0f} MB"


def _fields(line: str) -> list[str]:
    return line.split(maxsplit=7)


def signed_state(at: datetime | None, healthy: bool, message: str, now: datetime) -> PartState:
    """Of a process, by its last sign of life."""
    if at is None:
        return PartState(False, "has not started yet")
    silent = silence(at, now)
    return PartState(False, silent) if silent else PartState(healthy, "" if healthy else message)


def silence(at: datetime, now: datetime) -> str:
    """What is wrong with a sign of life of that time; empty where nothing is. One from the future is of before the
    clock was set back."""
    if abs(now - at) <= STALE:
        return ""
    if at > now:
        return "no sign of life since the clock was set back"
    return f"no sign of life for {int((now - at).total_seconds())} s"


def nobody_answers(now: datetime) -> bool:
    """Whether the part that keeps the models has given no sign of life."""
    beat = PartBeat.objects.filter(part="keeper").first()
    return beat is not None and (not beat.healthy or now - beat.at > STALE)


def _listens(host: str, port: int) -> PartState:
    try:
        with socket.create_connection((host, port), timeout=1):
            return PartState(True)
    except OSError as error:
        return PartState(False, f"no connection: {error.strerror or error}")
