"""What this machine has to run models on. A value that nothing says is None, never a guess. Sizes are bytes."""

from dataclasses import dataclass
from enum import StrEnum


class Vendor(StrEnum):
    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    OTHER = "other"


class MemoryKind(StrEnum):
    DEDICATED = "dedicated"
    UNIFIED = "unified"
    """The processor's own memory: what a model takes is missing there."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device. ``id`` stays the same over a restart (a GPU's UUID, else its PCI address)."""

    id: str
    vendor: Vendor
    name: str
    memory_kind: MemoryKind = MemoryKind.DEDICATED
    memory_total: int | None = None
    memory_used: int | None = None
    architecture: str = ""
    """As the engines name it: compute capability ``9.0``, ``gfx1100``."""
    driver: str = ""
    cdi: str = ""
    """Its name for the container engine, where that has a CDI specification: ``nvidia.com/gpu=GPU-…``."""
    nodes: tuple[str, ...] = ()
    """Its device files."""
    visible_as: str = ""
    """How its vendor's own variable names it (`CUDA_VISIBLE_DEVICES`, `ROCR_VISIBLE_DEVICES`), where that is known."""


@dataclass(frozen=True, slots=True)
class Processor:
    name: str
    cores: int
    """That this box may use, by affinity and control group."""
    features: frozenset[str] = frozenset()
    """Of those that matter to engines: avx2, avx512f, amx_int8, f16c, fma, neon, …"""


@dataclass(frozen=True, slots=True)
class Hardware:
    processor: Processor
    memory_total: int
    memory_available: int
    accelerators: tuple[Accelerator, ...] = ()
    runtimes: tuple[str, ...] = ()
    """What onnxruntime could use here: CPUExecutionProvider, TensorrtExecutionProvider, VitisAIExecutionProvider, …"""
    runtimes_asked: bool = False
    """Whether onnxruntime itself said so; else they follow from the devices."""
    notes: tuple[str, ...] = ()
    """What was found but cannot be used, and why, in words."""
