"""Accelerators that are no GPU: NPUs, FPGA cards and modules, by their drivers and device files."""

from collections.abc import Sequence

from appliance.inference.hardware.domain import Accelerator, MemoryKind, Vendor
from appliance.inference.hardware.pci import AMD_PROCESSOR, INTEL, XILINX, Function
from appliance.inference.hardware.roots import Roots, Seen, inside
from appliance.lib.said import say

AMD_NPU = "AMD NPU (XDNA)"
INTEL_NPU = "Intel NPU"
FPGA = "AMD/Xilinx FPGA card"
_BY_DRIVER = {
    "intel_vpu": (Vendor.INTEL, INTEL_NPU, MemoryKind.UNIFIED),
    "amdxdna": (Vendor.AMD, AMD_NPU, MemoryKind.UNIFIED),
    "xocl": (Vendor.AMD, FPGA, MemoryKind.DEDICATED),
    "habanalabs": (Vendor.INTEL, "Intel Gaudi", MemoryKind.DEDICATED),
    "qaic": (Vendor.OTHER, "Qualcomm Cloud AI 100", MemoryKind.DEDICATED),
}
_BY_NODE = (
    ("hailo[0-9]*", "Hailo"),
    ("apex_[0-9]*", "Coral Edge TPU"),
    ("xdna[0-9]*", AMD_NPU),
)
"""Drivers from outside the kernel, by the name of their device file."""
_IS_NPU = {(AMD_PROCESSOR, 0x1180): AMD_NPU, (INTEL, 0x1200): INTEL_NPU}


def look(roots: Roots, cards: Sequence[Function]) -> Seen:
    seen = Seen()
    driven = {_body(card) for card in cards if card.driver == "xocl"}
    for card in cards:
        known = _BY_DRIVER.get(card.driver)
        if known is not None:
            vendor, name, memory = known
            one = Accelerator(card.slot, vendor, f"{name} ({card.vendor}:{card.device})", memory,
                              driver=card.driver, nodes=card.nodes)  # fmt: skip
            seen += Seen((one,))
        elif card.vendor == XILINX and _body(card) not in driven:
            seen += Seen(notes=(_no_user_function(card),))
        elif not card.driver and (card.vendor, card.kind) in _IS_NPU and _is_npu(card):
            name = _IS_NPU[card.vendor, card.kind]
            where = f"{card.vendor}:{card.device}, {card.slot}"
            seen += Seen(notes=(say("%(name)s (%(where)s) has no driver.", name=name, where=where),))
    taken = {node for one in seen.accelerators for node in one.nodes}
    return seen + Seen(tuple(_by_node(roots, taken)))


def _body(card: Function) -> str:
    return card.slot.partition(".")[0]


def _is_npu(card: Function) -> bool:
    """Of AMD's signal processors most are sensors and sound; NPUs are these."""
    return card.vendor == INTEL or card.device in ("1502", "17f0")


def _by_node(roots: Roots, taken: set[str]) -> list[Accelerator]:
    found = []
    for pattern, name in _BY_NODE:
        for path in inside(roots.dev, pattern):
            node = f"/dev/{path.name}"
            vendor = Vendor.AMD if name == AMD_NPU else Vendor.OTHER
            if node not in taken:
                found.append(Accelerator(path.name, vendor, name, nodes=(node,)))
    for path in inside(roots.dev / "accel", "accel[0-9]*"):
        node = f"/dev/accel/{path.name}"
        if node not in taken:
            found.append(Accelerator(f"accel/{path.name}", Vendor.OTHER, path.name, nodes=(node,)))
    return found


def _no_user_function(card: Function) -> str:
    where = f"{card.vendor}:{card.device}, {card.slot}"
    if card.driver == "xclmgmt":
        # Each card shows two functions; this one only carries its firmware.
        return say(
            "An FPGA card (%(where)s): its management function alone; xocl drives the other.", where=where
        )
    return say("An FPGA card (%(where)s) has no driver of XRT.", where=where)
