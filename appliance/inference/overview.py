"""All models of this box as people see them: what lies here, what is served, how it is. For screens and commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from asgiref.sync import async_to_sync

from appliance.inference.backends.llamacpp.planning import LIBRARY
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.catalogue.staging import Coming, coming
from appliance.inference.client import KeeperClient
from appliance.inference.domain import InstanceState, Work
from appliance.inference.errors import ModelUnavailable, ModelUnknown
from appliance.inference.leases import Seen, View
from appliance.inference.models import ModelChange, ServedModel, WorkChain
from appliance.lib.config import get_config
from appliance.lib.located.issues import suggestion

_LOADING = (InstanceState.CREATING, InstanceState.LOADING)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One name. ``stored`` are its versions on this box, the newest last; ``seen`` is the keeper's word on it."""

    name: str
    stored: tuple[Stored, ...]
    served: ServedModel | None
    seen: Seen | None

    @property
    def manifest(self) -> Manifest | None:
        """Of the version that is served, else of the newest."""
        wanted = self.served.version if self.served else None
        found = [one.manifest for one in self.stored if wanted in (None, one.manifest.version)]
        return found[-1] if found else None

    @property
    def is_served(self) -> bool:
        return self.served is not None and self.served.enabled

    @property
    def load_per_mille(self) -> int | None:
        """How far its loading is, by what it took before: never quite the whole. None where that is not known."""
        seen = self.seen
        if seen is None or not seen.load_seconds or seen.state not in _LOADING:
            return None
        return min(980, int(1000 * seen.for_seconds / seen.load_seconds))

    @property
    def state(self) -> str:
        """The keeper's word; else ``not served``, ``missing`` (its files), or ``unknown`` where nobody keeps."""
        if self.seen is not None:
            return self.seen.state.value
        if not self.is_served:
            return "not served"
        return "unknown" if self.manifest else "missing"


@dataclass(frozen=True, slots=True)
class Overview:
    """``away`` is why the keeper says nothing; empty where it answered."""

    rows: tuple[ModelRow, ...]
    view: View | None
    away: str = ""


def repository() -> Repository:
    """The one of this box."""
    return Repository(get_config().home.models)


def keeper() -> KeeperClient:
    """The door of this box's keeper."""
    return KeeperClient(get_config().home.keeper_socket)


def overview() -> Overview:
    """All models, by name. The keeper may be away."""
    try:
        view, away = async_to_sync(keeper().look)(), ""
    except ModelUnavailable as error:
        view, away = None, error.message
    seen = {one.model: one for one in view.models} if view else {}
    stored: dict[str, list[Stored]] = {}
    for one in sorted(repository(), key=lambda one: one.manifest.added_at):
        stored.setdefault(one.manifest.name, []).append(one)
    served = {one.name: one for one in ServedModel.objects.order_by("name")}
    rows = tuple(
        ModelRow(name, tuple(stored.get(name, ())), served.get(name), seen.get(name))
        for name in sorted({*stored, *served})
    )
    return Overview(rows, view, away)


def find_model(name: str) -> ModelRow:
    """Raises ModelUnknown with the nearest name."""
    rows = {row.name: row for row in overview().rows}
    if name not in rows:
        hint = suggestion(name, list(rows)) or "manage.py models list"
        raise ModelUnknown(f"there is no model {name!r} on this box", hint=hint)
    return rows[name]


def imports() -> Sequence[Coming]:
    """What is on its way into the repository."""
    return coming(get_config().home.models)


def lacks_llamacpp() -> bool:
    """Whether the engine that needs no container is not installed in the box's own environment."""
    return find_spec(LIBRARY) is None


def changes(model: str = "", *, limit: int = 50) -> Sequence[ModelChange]:
    """What became of the models, the newest first."""
    rows = ModelChange.objects.order_by("-id")
    return list((rows.filter(model=model) if model else rows)[:limit])


def chains() -> Mapping[Work, WorkChain | None]:
    """The selection matrix: every kind of work, with its row where somebody wrote one."""
    rows = {row.work: row for row in WorkChain.objects.all()}
    return {work: rows.get(work.value) for work in Work}


def plain(row: ModelRow) -> dict[str, Any]:
    """As JSON has it: for scripts and the API. Sizes are bytes, times seconds."""
    served, seen, manifest = row.served, row.seen, row.manifest
    return {
        "name": row.name,
        "state": row.state,
        "reason": seen.reason if seen else "",
        "progress": seen.progress if seen else "",
        "served": row.is_served,
        "version": served.version if served else None,
        "previous": (served.previous or None) if served else None,
        "versions": [one.manifest.version for one in row.stored],
        "engine": served.engine if served else None,
        "context": served.context if served else None,
        "slots": served.slots if served else None,
        "device": served.device if served else None,
        "keep_alive": served.keep_alive if served else None,
        "revision": served.revision if served else None,
        "format": manifest.format.value if manifest else None,
        "size": manifest.size if manifest else None,
        "quantisation": manifest.quantisation if manifest else None,
        "in_use": seen.in_use if seen else 0,
        "waiting": seen.waiting if seen else 0,
        "device_bytes": seen.device_bytes if seen else 0,
        "memory_bytes": seen.memory_bytes if seen else 0,
        "load_seconds": seen.load_seconds if seen else None,
        "tokens_per_second": round(seen.tokens_per_second, 2) if seen else 0.0,
        "last_speed": round(seen.last_speed, 2) if seen and seen.last_speed else None,
    }
