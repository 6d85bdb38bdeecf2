"""What the machine gives the box: room, the right time, the packages it was tested with, a kernel that confines."""

import ctypes
import re
from importlib.metadata import PackageNotFoundError, version

from appliance.lib.config import ROOT
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, unknown
from appliance.outbox.network.services import network_state
from appliance.processes.part_checks import disk_state
from appliance.sandbox.process import landlock

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;#]+)")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def _disk(patient: Patient) -> Found:
    state = disk_state(patient.config)
    return either(state.healthy, state.message)


def _clock(patient: Patient) -> Found:
    """What the kernel says of its own clock; asking needs no right."""
    kernel = ctypes.CDLL(None, use_errno=True)
    state = kernel.adjtimex(ctypes.create_string_buffer(512))
    if state < 0:
        return unknown("the kernel does not say")
    return either(state != _TIME_ERROR, "" if state != _TIME_ERROR else "not synchronised with any other")


def _network(patient: Patient) -> Found:
    state = network_state(patient.now)
    if not state.targets:
        return absent("nothing is watched")
    away = ", ".join(target.name for target in state.away)
    return either(not away, f"away: {away}" if away else state.condition.value)


def _packages(patient: Patient) -> Found:
    """Against the pins that the box was tested with: what somebody changed is not what was looked at."""
    wrong = []
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if pin := _PIN.match(line.strip()):
            try:
                found = version(pin[1])
            except PackageNotFoundError:
                found = "none"
            if found != pin[2]:
                wrong.append(f"{pin[1]} {found} instead of {pin[2]}")
    return either(not wrong, "; ".join(wrong[:5]))


def _landlock(patient: Patient) -> Found:
    found = landlock.abi()
    return good(f"Landlock {found}") if found else either(False, "the kernel has no Landlock")


CHECKS = (
    Check(
        "MW-G010", "The disk of the home has room", Severity.HIGH, _disk,
        "make room, or lower `MILLWRIGHT_KEEP_DAYS` and `MILLWRIGHT_KEEP_BYTES`",
    ),
    Check(
        "MW-G011", "The clock is synchronised", Severity.MEDIUM, _clock,
        "start an NTP client (systemd-timesyncd, chrony); schedules and log-in codes depend on the time",
    ),
    Check(
        "MW-G012", "What is watched on the network can be reached", Severity.LOW, _network,
        "`manage.py network` shows what is away; the box goes on without",
    ),
    Check(
        "MW-G013", "The Python packages are those that the box was tested with", Severity.MEDIUM, _packages,
        "`make setup` installs the pinned versions",
    ),
    Check(
        "MW-G014", "The kernel can confine commands", Severity.HIGH, _landlock,
        "a kernel of 5.13 or later with Landlock (`lsm=landlock,…`); without it commands are refused",
    ),
)  # fmt: skip
