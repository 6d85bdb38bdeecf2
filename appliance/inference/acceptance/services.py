"""What people do with candidates, and what they see of the tests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.events import ModelChanged
from appliance.inference.acceptance import sql
from appliance.inference.acceptance.golden_sets import golden_sets
from appliance.inference.acceptance.keys import key_now
from appliance.inference.backends.contract import Profile
from appliance.inference.changing import write
from appliance.inference.domain import CandidateState, EngineKind
from appliance.inference.errors import ModelRefused, ModelUnknown
from appliance.inference.models import Acceptance, Candidate, ServedModel
from appliance.lib.config import get_config
from appliance.safety.read_only import refuse_changes

_PROFILE = ("engine", "context", "slots", "device", "options")


def profile_of(row: ServedModel | Candidate) -> Profile:
    return Profile(EngineKind(row.engine), row.context, row.slots, row.device, row.options)


def verdict(model: str, digest: str, profile: str) -> Acceptance | None:
    """The last one on this content in this way to run; None where there is none."""
    tries = Acceptance.objects.filter(model=model, digest=digest, profile=profile, passed__isnull=False)
    return tries.order_by("-id").first()


def last_passed(model: str, digest: str) -> Acceptance | None:
    """In whatever way to run."""
    return Acceptance.objects.filter(model=model, digest=digest, passed=True).order_by("-id").first()


def tries(model: str, *, limit: int = 10) -> Sequence[Acceptance]:
    """The newest first."""
    return list(Acceptance.objects.filter(model=model).order_by("-id")[:limit])


def offer(values: Mapping[str, Any], profile: Profile, by: Principal, now: datetime) -> Candidate:
    """Make it a candidate, which goes live by its tests; ``values`` are those of the row that it would become.

    Raises NotAllowed, ReadOnlyNow, ModelRefused where somebody was faster, GoldenRefused for mistakes in the user's own
    sets.
    """
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    golden_sets(get_config().home.models, values["name"])
    given = {**values, "profile": key_now(profile)}
    said = {"version": values["version"], "digest": values["digest"], "engine": profile.engine.value}
    event = ModelChanged(values["name"], "candidate", version=values["version"])
    write(sql.OFFER, given, by, now, event, said)
    return Candidate.objects.get(name=values["name"])


def accept(name: str, by: Principal, now: datetime) -> Candidate:
    """Test a candidate again, or what is live. Raises as ``offer``, and ModelUnknown."""
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    candidate = Candidate.objects.filter(name=name).first()
    if candidate is None:
        return _accept_live(name, by, now)
    if candidate.state != CandidateState.REFUSED:
        raise ModelRefused(f"{candidate} is being tested already", hint=f"manage.py models accepted {name}")
    golden_sets(get_config().home.models, name)
    said = {"version": candidate.version, "digest": candidate.digest, "engine": candidate.engine}
    event = ModelChanged(name, "candidate", "once more", candidate.version)
    write(sql.AGAIN, {"name": name}, by, now, event, said)
    return Candidate.objects.get(name=name)


def _accept_live(name: str, by: Principal, now: datetime) -> Candidate:
    row = ServedModel.objects.filter(name=name, enabled=True).first()
    if row is None:
        raise ModelUnknown(
            f"{name} is neither served nor to be tested", hint=f"manage.py models serve {name}"
        )
    values = {field: getattr(row, field) for field in ("name", "version", "digest", "keep_alive", "revision")}
    values |= {field: getattr(row, field) for field in _PROFILE}
    return offer({**values, "options": Jsonb(row.options)}, profile_of(row), by, now)


def drop(name: str, by: Principal, now: datetime) -> None:
    """Give a candidate up; what is live stays. Raises NotAllowed, ReadOnlyNow, ModelUnknown, ModelRefused."""
    by.require(Ability.MANAGE_MODELS)
    refuse_changes(by)
    candidate = Candidate.objects.filter(name=name).first()
    if candidate is None:
        raise ModelUnknown(f"no version of {name} is to be tested", hint="manage.py models list")
    said = {"version": candidate.version, "digest": candidate.digest}
    write(sql.DROP, {"name": name}, by, now, ModelChanged(name, "dropped", version=candidate.version), said)
