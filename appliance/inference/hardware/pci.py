"""Cards on the PCI bus that compute or show something, and the device files that their drivers made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.inference.hardware.roots import Roots, inside, pairs, text_of

NVIDIA, AMD, INTEL, XILINX = "10de", "1002", "8086", "10ee"
AMD_PROCESSOR = "1022"
_DISPLAY, _SIGNAL, _ACCELERATOR = 0x03, 0x11, 0x12
_COMPUTES = {_DISPLAY, _SIGNAL, _ACCELERATOR}
_SLOT = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a card. ``vendor`` and ``device`` are four hexadecimal digits; ``driver`` is empty for none."""

    slot: str
    vendor: str
    device: str
    kind: int
    """Class and subclass, as in 0x0302 for a GPU without a plug for a screen."""
    driver: str
    folder: Path
    nodes: tuple[str, ...] = ()
    """Render nodes and the like: those that programs compute with."""

    @property
    def is_display(self) -> bool:
        return self.kind >> 8 == _DISPLAY


def parse_uevent(text: str, folder: Path) -> Function | None:
    """``/sys/bus/pci/devices/*/uevent``; None where it is not of PCI, or of a card that is no business of ours."""
    known = pairs(text, "=")
    slot = known.get("PCI_SLOT_NAME", "").lower()
    vendor, _, device = known.get("PCI_ID", "").lower().partition(":")
    try:
        kind = int(known.get("PCI_CLASS", ""), 16) >> 8
    except ValueError:
        return None
    if not _SLOT.fullmatch(slot) or (kind >> 8 not in _COMPUTES and vendor != XILINX):
        return None
    return Function(slot, vendor, device, kind, known.get("DRIVER", ""), folder)


def functions(roots: Roots) -> tuple[Function, ...]:
    """Each with its files, by slot."""
    found: dict[str, Function] = {}
    for folder in inside(roots.sys / "bus/pci/devices"):
        if one := parse_uevent(text_of(folder / "uevent"), folder):
            found[one.slot] = one
    for group, devices in (("drm", "dri"), ("accel", "accel")):
        for folder in inside(roots.sys / "class" / group):
            _add_node(found, folder, roots.nodes(f"{devices}/{folder.name}"))
    return tuple(found[slot] for slot in sorted(found))


def _add_node(found: dict[str, Function], folder: Path, nodes: tuple[str, ...]) -> None:
    """``card0`` shows pictures, ``card0-DP-1`` is a plug; who computes needs ``renderD128`` or ``accel0``."""
    name = folder.name
    if "-" in name or not name.startswith(("card", "renderD", "accel")):
        return
    one = parse_uevent(text_of(folder / "device" / "uevent"), folder / "device")
    if one is None:
        return
    known = found.setdefault(one.slot, one)
    if not name.startswith("card"):
        found[one.slot] = replace(known, nodes=known.nodes + nodes)


def card_folder(roots: Roots, slot: str) -> Path | None:
    """``/sys/class/drm/card0`` of that slot."""
    for folder in inside(roots.sys / "class/drm", "card*"):
        known: Mapping[str, str] = pairs(text_of(folder / "device" / "uevent"), "=")
        if "-" not in folder.name and known.get("PCI_SLOT_NAME", "").lower() == slot:
            return folder
    return None
