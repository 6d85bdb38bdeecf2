"""Intel GPUs: by their driver (i915, xe) in sysfs. NPUs are in ``others``."""

from collections.abc import Sequence

from appliance.inference.hardware.domain import Accelerator, MemoryKind, Vendor
from appliance.inference.hardware.pci import INTEL, Function, card_folder
from appliance.inference.hardware.roots import Roots, Seen, inside, number_of, text_of
from appliance.lib.said import say


def look(roots: Roots, cards: Sequence[Function]) -> Seen:
    seen = Seen()
    for card in cards:
        if card.vendor != INTEL or not card.is_display:
            continue
        if card.driver in ("i915", "xe"):
            seen += Seen((_card(roots, card),))
        elif not card.driver:
            where = f"8086:{card.device}, {card.slot}"
            seen += Seen(notes=(say("An Intel GPU (%(where)s) has no driver.", where=where),))
    return seen


def _card(roots: Roots, card: Function) -> Accelerator:
    # Bus 0 is inside the processor; a card is behind a bridge.
    shares = card.slot.startswith("0000:00:")
    version = text_of(roots.sys / "module" / card.driver / "version").strip()
    return Accelerator(
        id=card.slot,
        vendor=Vendor.INTEL,
        name=f"Intel GPU (8086:{card.device})",
        memory_kind=MemoryKind.UNIFIED if shares else MemoryKind.DEDICATED,
        memory_total=None if shares else _total(roots, card),
        driver=f"{card.driver} {version}".strip(),
        nodes=card.nodes,
    )


def _total(roots: Roots, card: Function) -> int | None:
    """i915 and xe say it in different places, and some of their versions nowhere."""
    tiles = [number_of(one) for one in inside(card.folder, "tile*/physical_vram_size_bytes")]
    known = [size for size in tiles if size]
    if known:
        return sum(known)
    folder = card_folder(roots, card.slot)
    return number_of(folder / "lmem_total_bytes") if folder else None
