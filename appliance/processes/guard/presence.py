"""Whether this box can have a guard, and how the one that it has is."""

import json
import os
import socket
import stat
from pathlib import Path

from appliance.lib.config import Config
from appliance.processes.part_checks import PartState, listens_on
from appliance.sandbox.process import wire

_ANSWER_SECONDS = 1.0
_MOST_ANSWER = 1 << 16


def absence(config: Config) -> str:
    """Why whoever runs us can have no guard; empty when they can."""
    path = Path(config.container_engine.removeprefix("unix://"))
    try:
        found = stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        found = False
    if not found:
        return f"no Docker engine at {path}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"user {os.geteuid()} may not use the Docker engine at {path}"
    return ""


def guard_state(config: Config) -> PartState:
    """Of the part ``guard``: the box is ready without it, and its message says what of containers there is."""
    door = config.home.guard_socket
    if not listens_on(door).healthy:
        # On a box that root started, the services may not use the engine, but guard may.
        started_by_root = config.home.path.stat().st_uid == 0
        if (why := absence(config)) and not (started_by_root and why.startswith("user")):
            return PartState(True, f"absent: {why}; steps of kind container wait", required=False)
        return PartState(
            False, "degraded: it does not answer; its log says why, or start the box again", required=False
        )
    try:
        answer = _ask(door)
    except (OSError, ValueError) as error:
        return PartState(False, f"degraded: no answer: {error}", required=False)
    message = "" if answer.get("healthy") else f"degraded: {answer.get('message') or 'it says nothing'}"
    return PartState(not message, message, required=False)


def _ask(door: Path) -> dict[str, object]:
    """What guard says of itself. Raises OSError, ValueError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(door))
        connection.sendall(wire.frame(wire.REQUEST, b'{"verb": "probe"}'))
        heard = b""
        while piece := connection.recv(_MOST_ANSWER):
            heard += piece
    payload = json.loads(heard[wire.HEADER.size :])
    return payload if isinstance(payload, dict) else {}
