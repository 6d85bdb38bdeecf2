"""What people and programs do with models: serve, withdraw, go back, load, unload, free, order for a work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from asgiref.sync import async_to_sync
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.events import ModelChanged
from appliance.inference import sql
from appliance.inference.acceptance import services as acceptance
from appliance.inference.acceptance.golden_sets import golden_digest
from appliance.inference.acceptance.keys import key_now
from appliance.inference.backends.contract import Profile
from appliance.inference.backends.options import checked
from appliance.inference.backends.registry import backends, factory_of
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.changing import write
from appliance.inference.domain import EngineKind, Work
from appliance.inference.errors import ModelRefused, ModelUnknown
from appliance.inference.leases import Order, Verb
from appliance.inference.models import Candidate, ServedModel
from appliance.inference.overview import keeper, repository
from appliance.lib.located.issues import suggestion
from appliance.safety.read_only import refuse_changes

CONTEXT, MOST_CONTEXT = 4096, 1 << 20
"""Tokens of one conversation, where nobody says."""
MOST_SLOTS = 64
KEEP_ALIVE = 600.0
LONGEST_KEEP_ALIVE = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is to be served. An empty ``version`` is the newest on this box; ``engine`` None: the first that
    reads its format; ``context`` 0: what it was made for, at most 4096. ``keep_alive`` is seconds, None: for ever."""

    version: str = ""
    engine: EngineKind | None = None
    context: int = 0
    slots: int = 1
    device: str = ""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    keep_alive: float | None = KEEP_ALIVE


def serve(
    name: str, how: Serving, by: Principal, now: datetime, *, revision: int | None = None
) -> ServedModel | Candidate:
    """Serve a model of the repository, or serve it in another way: at once where just that has passed its tests (the
    user's own as they are now), and what was live stays to go back to; else it becomes the candidate, and what is live
    stays until that has passed.

    ``revision`` is that of the row that the caller saw: with another one nothing is changed. Raises NotAllowed,
    ReadOnlyNow, ModelUnknown, ModelRefused, EngineAbsent, GoldenRefused.
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    manifest = repository().read(name, how.version or _newest(name)).manifest
    profile = profile_for(manifest, how)
    values = {
        "name": name,
        "version": manifest.version,
        "digest": manifest.digest,
        "engine": profile.engine.value,
        "context": profile.context,
        "slots": profile.slots,
        "device": profile.device,
        "options": Jsonb(dict(profile.options)),
        "keep_alive": _keep_alive(how.keep_alive),
        "revision": revision,
    }
    known = acceptance.verdict(name, manifest.digest, key_now(profile))
    golden = golden_digest(repository().root, name)
    if known is None or not known.passed or known.golden != golden:
        return acceptance.offer(values, profile, by, now)
    said = {
        "version": manifest.version,
        "digest": manifest.digest,
        "engine": profile.engine.value,
        "acceptance": known.pk,
    }
    event = ModelChanged(name, "served", version=manifest.version)
    write(sql.SERVE, values, by, now, event, said, instead_of_candidate=True)
    return ServedModel.objects.get(name=name)


def withdraw(name: str, by: Principal, now: datetime) -> None:
    """Serve it no more, and test no other version; requests under way may end. Its files stay.

    Raises NotAllowed, ReadOnlyNow, ModelUnknown.
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    if not find_served(name).enabled:
        raise ModelUnknown(f"the model {name!r} is not served", hint="manage.py models list")
    event = ModelChanged(name, "withdrawn")
    write(sql.WITHDRAW, {"name": name}, by, now, event, {}, instead_of_candidate=True)


def go_back(name: str, by: Principal, now: datetime) -> ServedModel:
    """Serve the version before again, in the way in which it passed its tests, and at once: they are not repeated.

    Raises NotAllowed, ReadOnlyNow, ModelUnknown, ModelRefused (it never passed any).
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    row = find_served(name)
    if not row.previous:
        raise ModelRefused(f"of {name} no other version was served before")
    manifest = repository().read(name, row.previous).manifest
    passed = acceptance.last_passed(name, manifest.digest)
    if passed is None:
        raise ModelRefused(
            f"{name}@{row.previous} has never passed its tests", hint="serve that version: it is tested first"
        )
    way = {**passed.way, "options": Jsonb(passed.way["options"])}
    values = {"name": name, "digest": manifest.digest, "revision": row.revision, **way}
    said = {"version": manifest.version, "digest": manifest.digest, "acceptance": passed.pk}
    event = ModelChanged(name, "served", "gone back", manifest.version)
    write(sql.GO_BACK, values, by, now, event, said, instead_of_candidate=True)
    return find_served(name)


def set_chain(
    work: Work, names: Sequence[str], by: Principal, now: datetime, *, revision: int | None = None
) -> None:
    """Which models for a kind of work, the best first. An empty list leaves it to whatever can do it.

    Raises NotAllowed, ReadOnlyNow, ModelUnknown, ModelRefused.
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    served, tested = ServedModel.objects.values_list("name"), Candidate.objects.values_list("name")
    known = [name for (name,) in served.union(tested)]
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or "serve it first"
            raise ModelUnknown(f"the model {name!r} is not served on this box", hint=hint)
    if len(set(names)) != len(names):
        raise ModelRefused("a model stands there twice")
    values = {"work": work.value, "names": Jsonb(list(names)), "revision": revision}
    said = ModelChanged("", "matrix", work.value)
    write(sql.SET_CHAIN, values, by, now, said, {"models": list(names)})


def load(name: str, by: Principal) -> None:
    """Have it loaded now. Raises NotAllowed, ReadOnlyNow, ModelUnknown, ModelUnavailable."""
    by.require(Ability.MANAGE_MODELS)
    _order(Verb.LOAD, name, by)


def unload(name: str, by: Principal) -> None:
    """Give its memory back as soon as nobody uses it. Raises as ``load``."""
    by.require(Ability.MANAGE_MODELS)
    _order(Verb.UNLOAD, name, by)


def free(name: str, by: Principal) -> None:
    """Let it out of quarantine. Raises as ``load``."""
    by.require(Ability.MANAGE_MODELS)
    _order(Verb.FREE, name, by)


def find_served(name: str) -> ServedModel:
    """Raises ModelUnknown with the nearest name."""
    row = ServedModel.objects.filter(name=name).first()
    if row is None:
        known = list(ServedModel.objects.values_list("name", flat=True))
        hint = suggestion(name, known) or "manage.py models list"
        raise ModelUnknown(f"the model {name!r} is not served on this box", hint=hint)
    return row


def _order(verb: Verb, name: str, by: Principal) -> None:
    refuse_changes(by)
    async_to_sync(keeper().order)(Order(verb=verb, model=name, principal=by.name))
    append_here(f"model.{verb.value}", by.name, f"model/{name}", {})


def _newest(name: str) -> str:
    versions = repository().versions(name)
    if not versions:
        known = sorted({one.manifest.name for one in repository()})
        hint = suggestion(name, known) or "manage.py models list"
        raise ModelUnknown(f"there is no model {name!r} on this box", hint=hint)
    return versions[-1]


def profile_for(manifest: Manifest, how: Serving) -> Profile:
    """How it would be served: checked against the model and the engine. Raises ModelRefused, EngineAbsent."""
    engine = how.engine or next(
        (kind for kind, factory in backends().items() if manifest.format in factory.formats), None
    )
    if engine is None:
        raise ModelRefused(f"no engine of this version reads {manifest.format.value}")
    factory = factory_of(engine)
    if manifest.format not in factory.formats:
        raise ModelRefused(f"{factory.title} does not read {manifest.format.value}")
    context = how.context or min(manifest.context or CONTEXT, CONTEXT)
    if not 1 <= context <= (manifest.context or MOST_CONTEXT):
        raise ModelRefused(
            f"{manifest.name} takes 1 to {manifest.context or MOST_CONTEXT} tokens, not {context}"
        )
    if not 1 <= how.slots <= MOST_SLOTS:
        raise ModelRefused(f"slots are 1 to {MOST_SLOTS}, not {how.slots}")
    profile = Profile(engine, context, how.slots, how.device, how.options)
    checked(factory.title, profile, factory.options)
    return profile


def _keep_alive(seconds: float | None) -> float | None:
    if seconds is not None and not 0 <= seconds <= LONGEST_KEEP_ALIVE:
        raise ModelRefused(f"it is kept for 0 to {LONGEST_KEEP_ALIVE:.0f} seconds, or always")
    return seconds
