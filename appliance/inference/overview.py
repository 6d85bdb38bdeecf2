"""All models of this box as people see them: what lies here, what is served, how it is. For screens and commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from asgiref.sync import async_to_sync

from appliance.inference.acceptance.golden_sets import golden_digest
from appliance.inference.acceptance.keys import key_now
from appliance.inference.acceptance.services import profile_of
from appliance.inference.backends.llamacpp.planning import LIBRARY
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.catalogue.staging import Coming, coming
from appliance.inference.client import KeeperClient
from appliance.inference.domain import InstanceState, Work
from appliance.inference.errors import ModelUnavailable, ModelUnknown
from appliance.inference.leases import Seen, View
from appliance.inference.models import Acceptance, Candidate, ModelChange, ServedModel, WorkChain
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
    candidate: Candidate | None = None
    tested: Acceptance | None = None
    """The last try of the candidate."""
    accepted: Acceptance | None = None
    """By which what is live passed; None where it never did as it is run now."""
    golden_changed: bool = False
    """The user's own sets are others than those by which it passed."""

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
    seen = {one.model: one for one in view.models if not one.candidate} if view else {}
    stored: dict[str, list[Stored]] = {}
    for one in sorted(repository(), key=lambda one: one.manifest.added_at):
        stored.setdefault(one.manifest.name, []).append(one)
    served = {one.name: one for one in ServedModel.objects.order_by("name")}
    candidates = {one.name: one for one in Candidate.objects.order_by("name")}
    rows = [
        ModelRow(name, tuple(stored.get(name, ())), served.get(name), seen.get(name), candidates.get(name))
        for name in sorted({*stored, *served, *candidates})
    ]
    return Overview(_with_tests(rows), view, away)


def _with_tests(rows: Sequence[ModelRow]) -> tuple[ModelRow, ...]:
    """With the last try of each candidate, and that by which each live one passed."""
    tries: dict[tuple[str, str, str], list[Acceptance]] = {}
    distinct = ("model", "digest", "profile", "passed")
    for one in Acceptance.objects.order_by(*distinct, "-id").distinct(*distinct).defer("results"):
        tries.setdefault((one.model, one.digest, one.profile), []).append(one)
    found = [_with_its_tests(row, tries) for row in rows]
    whole = Acceptance.objects.in_bulk([one.pk for row in found for one in (row.tested, row.accepted) if one])
    return tuple(
        replace(
            row,
            tested=whole.get(row.tested.pk) if row.tested else None,
            accepted=whole.get(row.accepted.pk) if row.accepted else None,
        )
        for row in found
    )


def _with_its_tests(row: ModelRow, tries: Mapping[tuple[str, str, str], Sequence[Acceptance]]) -> ModelRow:
    tested = accepted = None
    if (candidate := row.candidate) is not None:
        own = tries.get((row.name, candidate.digest, candidate.profile), ())
        tested = max(own, key=lambda one: one.pk, default=None)
    if (served := row.served) is not None:
        own = tries.get((row.name, served.digest, key_now(profile_of(served))), ())
        accepted = next((one for one in own if one.passed), None)
    changed = accepted is not None and accepted.golden != golden_digest(repository().root, row.name)
    return replace(row, candidate=candidate, tested=tested, accepted=accepted, golden_changed=changed)


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
        "candidate": _plain_candidate(row),
        "acceptance": _plain_try(row.accepted) if row.accepted else None,
        "golden_changed": row.golden_changed,
    }


def _plain_candidate(row: ModelRow) -> dict[str, Any] | None:
    one = row.candidate
    if one is None:
        return None
    return {
        "version": one.version,
        "digest": one.digest,
        "engine": one.engine,
        "context": one.context,
        "slots": one.slots,
        "device": one.device,
        "state": one.state,
        "reason": one.reason,
        "by": one.changed_by,
        "tested": _plain_try(row.tested) if row.tested else None,
    }


def _plain_try(one: Acceptance) -> dict[str, Any]:
    """``passed`` None: it is under way."""
    return {
        "id": one.pk,
        "version": one.version,
        "digest": one.digest,
        "passed": one.passed,
        "reason": one.reason,
        "started_at": one.started_at.isoformat(),
        "finished_at": one.finished_at.isoformat() if one.finished_at else None,
        "by": one.asked_by,
        "results": one.results,
    }
