"""AMD GPUs: what the kernel's compute driver (KFD) and its graphics driver (amdgpu) show in sysfs."""

from collections.abc import Mapping, Sequence

from appliance.inference.hardware.domain import Accelerator, MemoryKind, Vendor
from appliance.inference.hardware.pci import AMD, Function
from appliance.inference.hardware.roots import Roots, Seen, inside, number_of, text_of, whole
from appliance.lib.said import say

_MI300A = "74a0"
"""PCI device: to the compute driver it is the same gfx942 as the cards with memory of their own."""
_SHARES = {
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103",
    "gfx1150", "gfx1151", "gfx1152", "gfx1153",
}  # fmt: skip
"""Graphics inside a processor."""


def parse_properties(text: str) -> dict[str, int]:
    """``/sys/class/kfd/kfd/topology/nodes/*/properties``: lines of a name and a number."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        number = whole(value)
        if number is not None:
            found[name] = number
    return found


def gfx(version: int) -> str:
    """90402 is gfx942, 90010 is gfx90a: minor and stepping are one hexadecimal digit each. Empty for none."""
    major, minor, stepping = version // 10_000, version // 100 % 100, version % 100
    return f"gfx{major}{minor:x}{stepping:x}" if major and minor < 16 and stepping < 16 else ""


def read_nodes(roots: Roots) -> dict[int, Mapping[str, int]]:
    """Nodes that compute, by the minor number of their render node."""
    found: dict[int, Mapping[str, int]] = {}
    for folder in inside(roots.sys / "class/kfd/kfd/topology/nodes"):
        known = parse_properties(text_of(folder / "properties"))
        if known.get("simd_count") and (minor := known.get("drm_render_minor")):
            found[minor] = known
    return found


def read_numbers(roots: Roots) -> dict[int, int]:
    """As ROCm counts the same nodes: in the order of the driver's numbers, those that do not compute left out."""
    folders = [one for one in inside(roots.sys / "class/kfd/kfd/topology/nodes") if one.name.isdecimal()]
    minors = []
    for folder in sorted(folders, key=lambda one: int(one.name)):
        known = parse_properties(text_of(folder / "properties"))
        if known.get("simd_count") and (minor := known.get("drm_render_minor")):
            minors.append(minor)
    return {minor: number for number, minor in enumerate(minors)}


def look(roots: Roots, cards: Sequence[Function]) -> Seen:
    mine = [card for card in cards if card.vendor == AMD and (card.is_display or card.kind == 0x1200)]
    nodes = read_nodes(roots) if mine else {}
    numbers = read_numbers(roots) if mine else {}
    seen = Seen()
    for card in mine:
        where = f"1002:{card.device}, {card.slot}"
        if not card.driver:
            seen += Seen(notes=(say("An AMD card (%(where)s) has no driver.", where=where),))
        elif card.driver not in ("amdgpu", "radeon"):
            held = say("An AMD card (%(where)s) is held by %(driver)s.", where=where, driver=card.driver)
            seen += Seen(notes=(held,))
        else:
            minor = next((one for one in _minors(card) if one in nodes), -1)
            number = str(numbers[minor]) if minor in numbers else ""
            seen += _card(roots, card, nodes.get(minor, {}), number)
    return seen


def _minors(card: Function) -> list[int]:
    names = (node.rpartition("renderD")[2] for node in card.nodes)
    return [minor for name in names if (minor := whole(name)) is not None]


def _card(roots: Roots, card: Function, node: Mapping[str, int], number: str) -> Seen:
    architecture = gfx(node.get("gfx_target_version", 0))
    shares = bool(node.get("cpu_cores_count")) or architecture in _SHARES or card.device == _MI300A
    version = text_of(roots.sys / "module/amdgpu/version").strip()
    kfd = roots.nodes("kfd")
    found = Accelerator(
        id=_uuid(node) or card.slot,
        vendor=Vendor.AMD,
        name=text_of(card.folder / "product_name").strip() or f"AMD {architecture or 'GPU'} (1002:{card.device})",
        memory_kind=MemoryKind.UNIFIED if shares else MemoryKind.DEDICATED,
        memory_total=None if shares else number_of(card.folder / "mem_info_vram_total"),
        memory_used=None if shares else number_of(card.folder / "mem_info_vram_used"),
        architecture=architecture,
        driver=f"{card.driver} {version}".strip(),
        nodes=kfd + card.nodes,
        # Graphics inside a processor have no name of their own, only a number.
        visible_as=_uuid(node) or number,
    )  # fmt: skip
    if node and kfd:
        return Seen((found,))
    missing = say(
        "%(name)s shows pictures only: /dev/kfd or its node in the compute driver is not there.",
        name=found.name,
    )
    return Seen((found,), (missing,))


def _uuid(node: Mapping[str, int]) -> str:
    """As ROCm itself and `ROCR_VISIBLE_DEVICES` name it; graphics inside a processor have none."""
    number = node.get("unique_id", 0)
    return f"GPU-{number:016x}" if 0 < number < 1 << 64 else ""
