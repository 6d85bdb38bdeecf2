"""NVIDIA: what nvidia-smi says, what the driver says where that one is silent, and what is there without a driver."""

import csv
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.inference.hardware import tegra
from appliance.inference.hardware.asking import Told, ask
from appliance.inference.hardware.domain import Accelerator, MemoryKind, Vendor
from appliance.inference.hardware.pci import NVIDIA, Function
from appliance.inference.hardware.roots import Roots, Seen, inside, pairs, text_of, whole
from appliance.lib.said import say

FIELDS = ("index", "name", "uuid", "pci.bus_id", "memory.total", "memory.used", "driver_version")
NEWER = ("compute_cap", "mig.mode.current")
"""Drivers before 510 refuse the whole question for one field that they do not know."""
_MIB = 1 << 20
_SHARES = re.compile(r"\b(GB10|Orin|Thor|Xavier|nvgpu)\b")
"""Of these the processor's memory is the GPU's: then, and only then, `[N/A]` is no riddle."""
_INSTANCE = re.compile(r"^\s+MIG\s+(\S+)\s+Device\s+\d+:\s+\(UUID:\s+(MIG-\S+)\)")
_GPU = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[0-9a-f-]+)\)")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of nvidia-smi. Sizes are bytes; what it does not say is None or empty."""

    name: str
    uuid: str
    slot: str
    total: int | None
    used: int | None
    driver: str
    architecture: str = ""
    split: bool = False


def parse(text: str, fields: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Lines of CSV without head and units, and a note for each that is none, such as `… GPU is lost`."""
    rows: list[Row] = []
    others: list[str] = []
    for cells in csv.reader(text.splitlines(), skipinitialspace=True):
        known = dict(zip(fields, (_said(cell) for cell in cells), strict=False))
        if len(cells) != len(fields) or whole(cells[0]) is None or not known["name"]:
            if line := " ".join(" ".join(cells).split())[:200]:
                others.append(say("nvidia-smi: %(line)s", line=line))
            continue
        rows.append(
            Row(
                known["name"], known["uuid"], slot_of(known["pci.bus_id"]),
                _bytes(known["memory.total"]), _bytes(known["memory.used"]), known["driver_version"],
                known.get("compute_cap", ""), known.get("mig.mode.current", "") == "Enabled",
            )
        )  # fmt: skip
    return rows, others


def _said(cell: str) -> str:
    """`[N/A]`, `[Not Supported]`, `[Unknown Error]` are no answers."""
    cell = cell.strip()
    return "" if cell.startswith("[") or cell in ("N/A", "Not Supported") else cell


def _bytes(mebibytes: str) -> int | None:
    found = whole(mebibytes)
    return None if found is None else found * _MIB


def slot_of(bus_id: str) -> str:
    """nvidia-smi writes the domain with eight digits, the kernel with four."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}" if rest else ""


def parse_instances(text: str) -> dict[str, list[str]]:
    """Of ``nvidia-smi -L`` the parts of each GPU that is split: ``1g.10gb MIG-…``."""
    found: dict[str, list[str]] = {}
    gpu = ""
    for line in text.splitlines():
        if match := _GPU.match(line):
            gpu = match[1]
        elif gpu and (match := _INSTANCE.match(line)):
            found.setdefault(gpu, []).append(f"{match[1]} {match[2]}")
    return found


def look(roots: Roots, cards: Sequence[Function]) -> Seen:
    """Blocks for at most two time limits of nvidia-smi, and only where something of NVIDIA's is seen at all."""
    mine = [card for card in cards if card.vendor == NVIDIA and card.is_display]
    chip = tegra.chip_of(roots)
    driver = (roots.proc / "driver/nvidia").exists() or roots.nodes("nvidiactl", "dxg")
    undriven = Seen(notes=tuple(_undriven(card) for card in mine if card.driver != "nvidia"))
    if not (driver or chip or any(card.driver == "nvidia" for card in mine)):
        return undriven
    program = shutil.which("nvidia-smi", path=roots.programs)
    if program is None:
        note = say("The NVIDIA driver is there and nvidia-smi is not: nobody says how much memory is free.")
        return undriven + _unasked(roots, chip, note)
    told, fields = _question(program, roots.seconds)
    if told.status != 0:
        why = told.trouble or " ".join(told.text.split())[:200] or f"exit status {told.status}"
        note = say("nvidia-smi: %(why)s. Its GPUs are not used until it answers.", why=why)
        return undriven + _unasked(roots, chip, note)
    rows, others = parse(told.text, fields)
    return undriven + _asked(roots, chip, program, rows) + Seen(notes=tuple(others))


def _asked(roots: Roots, chip: tegra.Chip | None, program: str, rows: Sequence[Row]) -> Seen:
    information = read_information(roots)
    split = [row for row in rows if row.split]
    parts = parse_instances(ask([program, "-L"], roots.seconds).text) if split else {}
    return Seen(
        tuple(_accelerator(roots, row, information, chip) for row in rows),
        tuple(_split(row, parts.get(row.uuid, [])) for row in split),
    )


def _unasked(roots: Roots, chip: tegra.Chip | None, note: str) -> Seen:
    """On a board nvidia-smi says little anyway, and on older ones there is none."""
    if chip is not None:
        return tegra.look(roots, chip)
    return Seen(_by_information(roots, read_information(roots)), (note,))


def _question(program: str, seconds: float) -> tuple[Told, tuple[str, ...]]:
    told = ask(_query(program, FIELDS + NEWER), seconds)
    if told.status and "not a valid field" in told.text:
        return ask(_query(program, FIELDS), seconds), FIELDS
    return told, FIELDS + NEWER


def _query(program: str, fields: Sequence[str]) -> list[str]:
    return [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def _undriven(card: Function) -> str:
    where = f"10de:{card.device}, {card.slot}"
    if not card.driver:
        return say("An NVIDIA card (%(where)s) has no driver.", where=where)
    return say("An NVIDIA card (%(where)s) is held by %(driver)s.", where=where, driver=card.driver)


def _split(row: Row, parts: Sequence[str]) -> str:
    shown = ", ".join(parts) or "none"
    return say("%(name)s (%(uuid)s) is split by MIG into: %(parts)s. Nothing is loaded on the whole of it.",
               name=row.name, uuid=row.uuid, parts=shown)  # fmt: skip


def _accelerator(
    roots: Roots, row: Row, information: Mapping[str, Mapping[str, str]], chip: tegra.Chip | None
) -> Accelerator:
    shares = row.total is None and (chip is not None or bool(_SHARES.search(row.name)))
    known = information.get(row.slot, {})
    return Accelerator(
        id=row.uuid or row.slot or (chip.name if chip else row.name),
        vendor=Vendor.NVIDIA,
        name=row.name,
        memory_kind=MemoryKind.UNIFIED if shares else MemoryKind.DEDICATED,
        # A GPU that is split cannot be filled as one.
        memory_total=None if row.split or shares else row.total,
        memory_used=None if row.split or shares else row.used,
        architecture=row.architecture or (chip.architecture if chip else ""),
        driver=row.driver or (tegra.release_of(roots) if chip else ""),
        nodes=_nodes(roots, known) or (tegra.nodes_of(roots) if chip else ()),
        visible_as=tegra.ONLY if chip else row.uuid,
    )


def read_information(roots: Roots) -> dict[str, Mapping[str, str]]:
    """By slot what ``/proc/driver/nvidia/gpus/*/information`` says: Model, GPU UUID, Device Minor, …"""
    found: dict[str, Mapping[str, str]] = {}
    for folder in inside(roots.proc / "driver/nvidia/gpus"):
        found[folder.name.lower()] = pairs(text_of(folder / "information"), ":")
    return found


def _by_information(roots: Roots, information: Mapping[str, Mapping[str, str]]) -> tuple[Accelerator, ...]:
    """Without what only nvidia-smi says. A driver that is ill writes question marks for the UUID."""
    found = []
    for slot, known in information.items():
        uuid, name = known.get("GPU UUID", ""), known.get("Model", "NVIDIA")
        id = uuid if uuid.startswith("GPU-") and "?" not in uuid else slot
        visible = id if id.startswith("GPU-") else ""
        found.append(Accelerator(id, Vendor.NVIDIA, name, nodes=_nodes(roots, known), visible_as=visible))
    return tuple(found)


def _nodes(roots: Roots, known: Mapping[str, str]) -> tuple[str, ...]:
    minor = whole(known.get("Device Minor", ""))
    return () if minor is None else roots.nodes(f"nvidia{minor}", "nvidiactl", "nvidia-uvm")
