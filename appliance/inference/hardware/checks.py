"""Whether the accelerators that are there can be used, by the box and by the containers of models."""

import http.client
import json
import socket
from collections.abc import Sequence

from appliance.inference.hardware import cdi, permission
from appliance.inference.hardware.domain import Accelerator, Hardware, MemoryKind, Vendor
from appliance.inference.hardware.reading import this_machine
from appliance.inference.hardware.roots import Roots
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, problem
from appliance.sandbox.docker.presence import engine_missing

_SECONDS = 5.0


def usable(hardware: Hardware, elsewhere: Sequence[str] = ()) -> Found:
    """``elsewhere`` are the notes that another check is about."""
    notes = [note for note in hardware.notes if note not in elsewhere]
    if not notes and not hardware.accelerators:
        return absent("there is none; models run on the processor")
    return problem("; ".join(notes)[:600]) if notes else good(_names(hardware.accelerators))


def files(hardware: Hardware, shut: Sequence[str] = ()) -> Found:
    if not counted(hardware):
        return absent("there is none")
    return either(not shut, "; ".join(shut)[:600])


def for_containers(hardware: Hardware, unreadable: Sequence[str] = ()) -> Found:
    devices = _by_containers(hardware)
    if not devices:
        return absent("there is none that models in containers use")
    without = [one for one in devices if not one.cdi]
    if without:
        return problem("; ".join((f"no CDI name: {_names(without)}", *unreadable))[:600])
    return good(", ".join(one.cdi for one in devices))


def engine_knows(hardware: Hardware, told: object) -> Found:
    """``told`` is the answer of the engine to GET /info."""
    if not _by_containers(hardware):
        return absent("there is no device to give")
    folders = told.get("CDISpecDirs") if isinstance(told, dict) else None
    if isinstance(folders, list) and folders:
        return good(", ".join(str(one) for one in folders))
    version = told.get("ServerVersion", "?") if isinstance(told, dict) else "?"
    return problem(f"Docker {version} names no folders of CDI specifications")


def _by_containers(hardware: Hardware) -> list[Accelerator]:
    """Engines in containers are NVIDIA's and AMD's."""
    mine = (Vendor.NVIDIA, Vendor.AMD)
    return [one for one in counted(hardware) if one.vendor in mine and one.architecture]


def counted(hardware: Hardware) -> list[Accelerator]:
    """Those that somebody bought to compute with: not the graphics inside every office PC's processor."""
    return [
        one
        for one in hardware.accelerators
        if one.memory_kind is MemoryKind.DEDICATED
        or one.vendor is Vendor.NVIDIA
        or one.architecture == "gfx942"
    ]


def _names(devices: Sequence[Accelerator]) -> str:
    return ", ".join(one.name for one in devices)


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def ask_engine(url: str) -> object:
    """GET /info of the engine behind a unix socket. Raises OSError and what its answer may hold."""
    connection = _OverSocket(url.removeprefix("unix://"))
    try:
        connection.request("GET", "/info")
        return json.loads(connection.getresponse().read(1 << 22))
    finally:
        connection.close()


def _usable(patient: Patient) -> Found:
    hardware, roots = this_machine.get(), Roots()
    return usable(hardware, (*permission.closed(roots, hardware.accelerators), *cdi.read(roots)[1]))


def _files(patient: Patient) -> Found:
    hardware = this_machine.get()
    return files(hardware, permission.closed(Roots(), counted(hardware)))


def _containers(patient: Patient) -> Found:
    if missing := engine_missing(patient.config.container_engine):
        return absent(missing)
    return for_containers(this_machine.get(), cdi.read(Roots())[1])


def _engine(patient: Patient) -> Found:
    url = patient.config.container_engine
    if missing := engine_missing(url):
        return absent(missing)
    hardware = this_machine.get()
    return engine_knows(hardware, ask_engine(url) if _by_containers(hardware) else None)


CHECKS = (
    Check(
        "MW-G030", "Every accelerator that is there can be used", Severity.MEDIUM, _usable,
        "docs/how-to/hardware.md says what each kind needs; `manage.py hardware` shows what is seen",
    ),
    Check(
        "MW-G031", "The box may use the files of every accelerator", Severity.MEDIUM, _files,
        "put the box's user into that group (`usermod -aG GROUP USER`) and start the box again",
    ),
    Check(
        "MW-G032", "Containers can be given every GPU by its name", Severity.MEDIUM, _containers,
        "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or `amd-ctk cdi generate`; anew with each new driver",
    ),
    Check(
        "MW-G033", "The container engine reads the names of GPUs (CDI)", Severity.MEDIUM, _engine,
        "Docker 28.3 or later does; before, from 25 on, set `\"features\": {\"cdi\": true}` in its daemon.json",
    ),
)  # fmt: skip
