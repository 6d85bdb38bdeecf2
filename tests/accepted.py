"""Models that have passed their tests, without the tests: for whatever is about something else."""

from collections.abc import Mapping
from datetime import datetime

from appliance.accounts.principal import Principal
from appliance.inference import services
from appliance.inference.acceptance.domain import way_of
from appliance.inference.acceptance.golden_sets import golden_digest
from appliance.inference.acceptance.keys import key_now
from appliance.inference.backends.contract import Profile
from appliance.inference.domain import EngineKind
from appliance.inference.models import Acceptance, Candidate, ServedModel
from appliance.inference.services import Serving
from appliance.lib.config import get_config


def accept(model: str, version: str, digest: str, profile: Profile, now: datetime) -> Acceptance:
    """On record: this content has passed, run in this way, by the golden set that there is now."""
    return Acceptance.objects.create(
        model=model,
        version=version,
        digest=digest,
        profile=key_now(profile),
        way=way_of(profile),
        golden=golden_digest(get_config().home.models, model),
        passed=True,
        started_at=now,
        finished_at=now,
        asked_by="user:eve",
    )


def serve_live(
    name: str, how: Serving, by: Principal, now: datetime, *, revision: int | None = None
) -> ServedModel:
    """Live at once: what is served becomes a candidate first, whose tests have passed."""
    row = services.serve(name, how, by, now, revision=revision)
    if isinstance(row, Candidate):
        profile = Profile(EngineKind(row.engine), row.context, row.slots, row.device, row.options)
        accept(name, row.version, row.digest, profile, now)
        row = services.serve(name, how, by, now, revision=revision)
    assert isinstance(row, ServedModel)
    return row


def accept_candidate(name: str, now: datetime, results: Mapping[str, object] | None = None) -> None:
    """The tests of what was just served have passed; it goes live when it is served again."""
    row = Candidate.objects.get(name=name)
    profile = Profile(EngineKind(row.engine), row.context, row.slots, row.device, row.options)
    accept(name, row.version, row.digest, profile, now)
