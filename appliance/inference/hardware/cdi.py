"""Names of devices for container engines, by the Container Device Interface: files that drivers' toolkits write."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import yaml
from pydantic import BaseModel, Field, ValidationError

from appliance.inference.hardware.domain import Accelerator, Vendor
from appliance.inference.hardware.roots import Roots, Seen, inside, text_of
from appliance.lib.said import say

_VENDORS = {Vendor.NVIDIA: "nvidia.com/", Vendor.AMD: "amd.com/", Vendor.INTEL: "intel.com/"}
_SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/kfd", "/dev/nvmap")
"""Every device of the vendor needs them: they name none."""


class _Node(BaseModel):
    path: str = ""


class _Edits(BaseModel):
    device_nodes: list[_Node] = Field(default=[], alias="deviceNodes")


class _Device(BaseModel):
    name: str
    edits: _Edits = Field(default=_Edits(), alias="containerEdits")


class _File(BaseModel):
    kind: str
    devices: list[_Device]


@dataclass(frozen=True, slots=True)
class Named:
    """``name`` is whole: ``nvidia.com/gpu=0``."""

    name: str
    nodes: frozenset[str]


@lru_cache(maxsize=32)
def parse(text: str) -> tuple[Named, ...]:
    """A specification in JSON or YAML. Raises ValueError for what is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        file = _File.model_validate(yaml.load(text, Loader=loader))  # noqa: S506  # both are safe ones
    except (yaml.YAMLError, ValidationError, RecursionError, ValueError) as error:
        raise ValueError(f"no CDI specification: {type(error).__name__}") from error
    return tuple(
        Named(f"{file.kind}={one.name}", frozenset(node.path for node in one.edits.device_nodes))
        for one in file.devices
    )


def read(roots: Roots) -> tuple[list[Named], list[str]]:
    """Every name there is, and what could not be understood."""
    found: list[Named] = []
    notes: list[str] = []
    for folder in (roots.etc / "cdi", roots.run / "cdi"):
        for path in inside(folder):
            if path.suffix not in (".json", ".yaml", ".yml"):
                continue
            try:
                found += parse(text_of(path))
            except ValueError:
                notes.append(say("%(file)s is not a CDI specification, or may not be read.", file=path.name))
    return found, notes


def name_of(device: Accelerator, names: Sequence[Named]) -> str:
    """By its UUID, which stays when numbers change; else by the one file that only this device has."""
    mine = [one for one in names if one.name.startswith(_VENDORS.get(device.vendor, "\0"))]
    for one in mine:
        if one.name.endswith(f"={device.id}"):
            return one.name
    own = set(device.nodes).difference(_SHARED)
    # `all` has every file; the device's own entry has the fewest.
    fitting = [one for one in mine if own and own <= one.nodes]
    return min(fitting, key=lambda one: (len(one.nodes), one.name)).name if fitting else ""


def with_names(seen: Seen, roots: Roots) -> Seen:
    names, notes = read(roots)
    named = tuple(replace(one, cdi=name_of(one, names)) for one in seen.accelerators)
    return Seen(named, seen.notes + tuple(notes))
