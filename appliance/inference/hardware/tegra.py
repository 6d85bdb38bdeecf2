"""NVIDIA's chips for boards (Jetson): GPU and processor are one, and nvidia-smi may be missing or know little."""

import re
from dataclasses import dataclass

from appliance.inference.hardware.domain import Accelerator, MemoryKind, Vendor
from appliance.inference.hardware.roots import Roots, Seen, text_of

_ARCHITECTURES = {"tegra210": "5.3", "tegra186": "6.2", "tegra194": "7.2", "tegra234": "8.7"}
ONLY = "0"
"""What CUDA calls the one GPU of a board."""
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
_CHIP = re.compile(r"nvidia,(tegra\d{3})\b")


@dataclass(frozen=True, slots=True)
class Chip:
    name: str
    board: str

    @property
    def architecture(self) -> str:
        return _ARCHITECTURES.get(self.name, "")


def chip_of(roots: Roots) -> Chip | None:
    """By the device tree; None where this is no such board."""
    names = text_of(roots.proc / "device-tree/compatible")
    found = _CHIP.search(names)
    return Chip(found[1], text_of(roots.proc / "device-tree/model").strip("\0\n ")) if found else None


def release_of(roots: Roots) -> str:
    """``R36.3.0``, empty where the board runs another system than NVIDIA's."""
    found = _RELEASE.search(text_of(roots.etc / "nv_tegra_release"))
    return f"R{found[1]}.{found[2]}" if found else ""


def nodes_of(roots: Roots) -> tuple[str, ...]:
    return roots.nodes("nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu/igpu0/as", "nvmap")


def look(roots: Roots, chip: Chip) -> Seen:
    nodes = nodes_of(roots)
    if not nodes:
        return Seen()
    return Seen(
        (
            Accelerator(
                id=chip.name,
                vendor=Vendor.NVIDIA,
                name=chip.board or chip.name,
                memory_kind=MemoryKind.UNIFIED,
                architecture=chip.architecture,
                driver=release_of(roots),
                nodes=nodes,
                visible_as=ONLY,
            ),
        )
    )
