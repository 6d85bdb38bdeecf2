"""What the Models page is made of, from what the keeper and the rows say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.inference.domain import Work
from appliance.inference.hardware.domain import Accelerator, Hardware
from appliance.inference.leases import Space, View
from appliance.inference.models import WorkChain
from appliance.inference.overview import ModelRow
from appliance.inference.scheduling.instance import LIVING

_WIDTH = 1000
"""Of a bar, in its own units."""
_PLACES = 3
"""Of a row of the matrix, where it is not longer."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Memory of one device. Bytes, and the widths of what is used and of what is reserved beyond that."""

    device: str
    name: str
    total: int
    used: int
    reserved: int
    free: int

    @property
    def used_width(self) -> int:
        return min(_WIDTH, _WIDTH * self.used // max(1, self.total))

    @property
    def coming_width(self) -> int:
        """Of what is promised and not yet in use."""
        promised = min(_WIDTH, _WIDTH * self.reserved // max(1, self.total))
        return max(0, promised - self.used_width)


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of the selection matrix: for each place the name that stands there, and what else could."""

    work: Work
    revision: int | None
    chain: tuple[str, ...]
    places: tuple[str, ...]
    names: tuple[str, ...]


def bars(view: View, hardware: Hardware) -> list[Bar]:
    """The machine's own memory last."""
    names = {device.id: device.name for device in hardware.accelerators}
    return [_bar(space, view, names) for space in view.spaces]


def _bar(space: Space, view: View, names: Mapping[str, str]) -> Bar:
    own = [one for one in view.models if one.state in LIVING]
    devices = {one.device for one in view.spaces if one.device}
    if space.device:
        reserved = sum(one.device_bytes for one in own if one.device == space.device)
    else:
        # What lies on a device without memory of its own lies here.
        shared = sum(one.device_bytes for one in own if one.device not in devices)
        reserved = shared + sum(one.memory_bytes for one in own)
    name = names.get(space.device, space.device)
    return Bar(space.device, name, space.total, space.used or 0, reserved, space.free)


def devices(view: View | None, hardware: Hardware) -> Sequence[Accelerator]:
    """Those on which something may be loaded, as far as memory goes."""
    known = {space.device for space in view.spaces} if view else set()
    return [one for one in hardware.accelerators if one.id in known or one.memory_kind.value == "unified"]


def choices(rows: Sequence[ModelRow], chains: Mapping[Work, WorkChain | None]) -> list[Choice]:
    """The matrix, with a choice for each place. Who stands there and is not served any more stays to be seen."""
    return [_choice(work, chain, rows) for work, chain in chains.items()]


def _choice(work: Work, chain: WorkChain | None, rows: Sequence[ModelRow]) -> Choice:
    standing = tuple(str(name) for name in chain.models_in_order) if chain else ()
    able = [row.name for row in rows if row.is_served and _suits(row, work)]
    names = (*standing, *(name for name in able if name not in standing))
    count = min(len(names), max(_PLACES, len(standing) + 1))
    places = (*standing, *("",) * (count - len(standing)))
    return Choice(work, chain.revision if chain else None, standing, places, names)


def _suits(row: ModelRow, work: Work) -> bool:
    """Vectors are for embeddings, and text for all else."""
    return row.manifest is None or row.manifest.embeddings == (work is Work.EMBEDDINGS)
