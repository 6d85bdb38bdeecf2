"""Whether this box can have a guard, and how the one that it has is."""

import json
import os
import socket
from pathlib import Path

from appliance.lib.config import Config, KernelRulesMode
from appliance.processes.part_checks import PartState, listens_on
from appliance.sandbox.docker.presence import engine_missing
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.loading import check
from appliance.sandbox.process import wire

_ANSWER_SECONDS = 1.0
_MOST_ANSWER = 1 << 16


def absence(config: Config) -> str:
    """Why whoever runs us can have no guard; empty when they can."""
    if missing := engine_missing(config.container_engine):
        return missing
    path = config.container_engine.removeprefix("unix://")
    if not os.access(path, os.R_OK | os.W_OK):
        return f"user {os.geteuid()} may not use the Docker engine at {path}"
    return ""


def rules_absence(config: Config) -> str:
    """Why a guard that whoever runs us starts can have no rules of the kernel; empty when it can."""
    if config.kernel_rules is KernelRulesMode.OFF:
        return "MILLWRIGHT_KERNEL_RULES is off"
    try:
        check()
    except NoKernelRules as error:
        return error.said
    return ""


def guard_states(config: Config) -> dict[str, PartState]:
    """Of the parts ``guard``, which is about containers, and ``rules``, the kernel's for commands.

    The box is ready without either; their messages say what of it there is.
    """
    door = config.home.guard_socket
    answer: dict[str, object] = {}
    silence = "it does not answer; its log says why, or start the box again"
    if listens_on(door).healthy:
        try:
            answer, silence = ask(door), ""
        except (OSError, ValueError) as error:
            silence = f"no answer: {error}"
    absent = str(answer.get("absent") or "") if answer else absence(config)
    # On a box that root started, the services may not use the engine, but guard may.
    if not answer and config.home.path.stat().st_uid == 0 and absent.startswith("user"):
        absent = ""
    guard = PartState(True, f"absent: {absent}; steps of kind container wait", required=False)
    return {
        "guard": guard if absent else _state(answer, silence),
        "rules": _rules(config, answer, silence),
    }


def _rules(config: Config, answer: dict[str, object], silence: str) -> PartState:
    if config.kernel_rules is KernelRulesMode.OFF:
        return PartState(True, "off: MILLWRIGHT_KERNEL_RULES says so", required=False)
    told = answer.get("rules")
    if isinstance(told, dict):
        return _state(told, "")
    if os.geteuid() != 0 and config.home.path.stat().st_uid != 0:
        return PartState(False, f"degraded: {rules_absence(config)}", required=False)
    return _state({}, silence)


def _state(answer: dict[str, object], silence: str) -> PartState:
    said = silence or ("" if answer.get("healthy") else str(answer.get("message") or "it says nothing"))
    return PartState(not said, f"degraded: {said}" if said else "", required=False)


def ask(door: Path) -> dict[str, object]:
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
