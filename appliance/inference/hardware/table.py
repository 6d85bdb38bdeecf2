"""What the machine has, as text and as JSON."""

from appliance.inference.hardware.domain import Accelerator, Hardware, MemoryKind
from appliance.lib.jsontypes import JsonObject


def lines(hardware: Hardware) -> list[str]:
    """For a terminal."""
    mine = hardware.processor
    said = "said by onnxruntime" if hardware.runtimes_asked else "by the devices, not by onnxruntime itself"
    return [
        f"processor    {mine.name or 'unknown'}, {mine.cores} cores for this box",
        f"             {' '.join(sorted(mine.features)) or 'no instructions that engines look for'}",
        f"memory       {_size(hardware.memory_total)}, {_size(hardware.memory_available)} available",
        f"runtimes     {', '.join(hardware.runtimes)} ({said})",
        *(line for device in hardware.accelerators for line in _device(device)),
        *([] if hardware.accelerators else ["accelerators none"]),
        *(f"note         {note}" for note in hardware.notes),
    ]


def _device(device: Accelerator) -> list[str]:
    shares = device.memory_kind is MemoryKind.UNIFIED
    memory = (
        "the machine's own memory"
        if shares
        else f"{_size(device.memory_total)}, {_size(device.memory_used)} used"
    )
    known = [device.architecture, f"driver {device.driver}" if device.driver else "", device.cdi]
    return [
        f"accelerator  {device.name}: {memory}",
        f"             {'; '.join(['id ' + device.id, *(one for one in known if one)])}",
        *([f"             {' '.join(device.nodes)}"] if device.nodes else []),
    ]


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / (1 << 30):.1f} GiB"


def to_json(hardware: Hardware) -> JsonObject:
    """Sizes are bytes; null is what nothing says."""
    mine = hardware.processor
    return {
        "processor": {"name": mine.name, "cores": mine.cores, "features": [*sorted(mine.features)]},
        "memory_total": hardware.memory_total,
        "memory_available": hardware.memory_available,
        "accelerators": [_device_json(one) for one in hardware.accelerators],
        "runtimes": list(hardware.runtimes),
        "runtimes_asked": hardware.runtimes_asked,
        "notes": [str(note) for note in hardware.notes],
    }


def _device_json(device: Accelerator) -> JsonObject:
    return {
        "id": device.id,
        "vendor": device.vendor.value,
        "name": device.name,
        "memory_kind": device.memory_kind.value,
        "memory_total": device.memory_total,
        "memory_used": device.memory_used,
        "architecture": device.architecture,
        "driver": device.driver,
        "cdi": device.cdi,
        "nodes": list(device.nodes),
    }
