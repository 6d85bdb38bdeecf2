"""What this machine has to run models on, put together from every source."""

import asyncio

from appliance.inference.hardware import (
    amd,
    cdi,
    intel,
    memory,
    nvidia,
    onnx,
    others,
    pci,
    permission,
    processor,
)
from appliance.inference.hardware.domain import Hardware
from appliance.inference.hardware.roots import Roots


async def detect(roots: Roots | None = None) -> Hardware:
    """As ``look``, in a thread: milliseconds without a GPU, up to two time limits of a driver that hangs."""
    return await asyncio.to_thread(look, roots)


def look(roots: Roots | None = None) -> Hardware:
    """Read it now. Blocks, never raises for what it finds, and keeps nothing: whoever asks often keeps the answer."""
    roots = roots or Roots()
    cards = pci.functions(roots)
    seen = nvidia.look(roots, cards) + amd.look(roots, cards) + intel.look(roots, cards)
    seen = cdi.with_names(seen + others.look(roots, cards), roots)
    total, available = memory.read(roots)
    mine = processor.read(roots)
    runtimes = onnx.runtimes(seen.accelerators, mine)
    return Hardware(
        processor=mine,
        memory_total=total,
        memory_available=available,
        accelerators=seen.accelerators,
        runtimes=runtimes.names,
        runtimes_asked=runtimes.asked,
        notes=seen.notes + permission.closed(roots, seen.accelerators) + runtimes.notes,
    )
