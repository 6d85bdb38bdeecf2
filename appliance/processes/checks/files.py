"""Who may read what lies in the home, and as whom the services run."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.lib.config import ROOT
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, problem, unknown
from appliance.processes.privilege import Privilege


def _home(patient: Patient) -> Found:
    mode = stat.S_IMODE(patient.config.home.path.stat().st_mode)
    # Where root started the box, the services' own group comes in, and the users of steps pass through.
    return either(not mode & 0o006, f"mode {mode:o}")


def _private(patient: Patient) -> Found:
    open_ones = [path.name for path in _secret_files(patient) if path.stat().st_mode & 0o077]
    return either(not open_ones, f"others may read {', '.join(sorted(open_ones)[:5])}" if open_ones else "")


def _secret_files(patient: Patient) -> Iterator[Path]:
    home = patient.config.home.path
    for folder, pattern in ((home / "secrets", "*"), (home / "audit", "*_key"), (home / "tls", "*.key")):
        if folder.is_dir():
            # Not ``glob``: it takes a folder that we may not read for an empty one.
            found = sorted(folder.iterdir())
            yield from (path for path in found if path.match(pattern) and path.is_file())


def _env_file(patient: Patient) -> Found:
    file = ROOT / ".env"
    if not file.exists():
        return absent("there is no .env file")
    mode = stat.S_IMODE(file.stat().st_mode)
    return either(not mode & 0o077, f"mode {mode:o}")


def _root_key(patient: Patient) -> Found:
    file = patient.config.root_key
    if not file.exists():
        return absent("nothing is sealed yet")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return problem(f"others may read {file} (mode {mode:o})")
    if patient.config.root_key_own:
        return problem("it lies in the home, beside the database that it seals, and in every copy of both")
    return either(True, str(file))


def _services(patient: Patient) -> Found:
    if os.geteuid() == patient.config.home.service_uid:
        return good(f"user {os.geteuid()}")  # a service asks
    privilege = Privilege.of(patient.config.home)
    if privilege.in_place:
        return problem("started by root, they stay user 0 without root's powers")
    return good(f"user {os.geteuid() if privilege.uid is None else privilege.uid}")


def _engine(patient: Patient) -> Found:
    path = Path(patient.config.container_engine.removeprefix("unix://"))
    try:
        status = path.stat()
    except FileNotFoundError:
        return absent("no Docker engine")
    except OSError as error:
        return unknown(str(error.strerror))
    if os.geteuid() != 0:
        return either(not os.access(path, os.W_OK), f"user {os.geteuid()} may")
    # Root's services have neither its powers nor a group but their own.
    uid = Privilege.of(patient.config.home).uid or 0
    return either(not status.st_mode & (0o200 if status.st_uid == uid else 0o002), f"user {uid} may")


CHECKS = (
    Check(
        "MW-S013", "Nobody else looks into the home", Severity.HIGH, _home,
        "`chmod o-rw` on the home; others may pass through it at most",
    ),
    Check(
        "MW-S014", "Keys and passwords of the box are its own to read", Severity.HIGH, _private,
        "chmod 600 on these files, and make new ones if others had a chance to read them",
    ),
    Check(
        "MW-S015", "The file of settings is its owner's to read", Severity.HIGH, _env_file,
        "chmod 600 .env, or keep passwords in files that `NAME_FILE` names",
    ),
    Check(
        "MW-S016", "The key that seals secrets lies apart from them", Severity.LOW, _root_key,
        "give it as the systemd credential `millwright_root_key`, or by `MILLWRIGHT_ROOT_KEY_FILE`",
    ),
    Check(
        "MW-S017", "No service runs as user 0", Severity.MEDIUM, _services,
        "put the code under /opt and the home under /srv, or start the box as an ordinary user",
    ),
    Check(
        "MW-S018", "Only guard may use the container engine", Severity.MEDIUM, _engine,
        "let root start the box, with services of their own user (MW-S017): who may use the engine is as good as root",
    ),
)  # fmt: skip
