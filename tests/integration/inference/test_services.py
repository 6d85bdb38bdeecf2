"""What is served is changed by those who may, on record, and never over what somebody else has just done."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.principal import NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.events.models import EventRow
from appliance.inference import overview, services
from appliance.inference.acceptance.services import accept, drop
from appliance.inference.catalogue.repository import MANIFEST, Repository
from appliance.inference.domain import Work
from appliance.inference.errors import ModelRefused, ModelUnavailable, ModelUnknown
from appliance.inference.management.testing import newest_try, until_judged
from appliance.inference.models import Acceptance, Candidate, ServedModel, WorkChain
from appliance.inference.services import Serving
from tests.accepted import serve_live
from tests.served_models import tiny_served

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENGINEER = Principal("user:eve", Role.ENGINEER)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two versions of ``tiny``."""
    for version in ("1", "2"):
        served = tiny_served(tmp_path / version, seed=int(version))
        made = served.manifest.model_copy(
            update={"version": version, "added_at": NOW.replace(day=int(version))}
        )
        folder = tmp_path / "models" / "tiny" / version
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(made.model_dump_json())
    repository = Repository(tmp_path / "models")
    monkeypatch.setattr(overview, "repository", lambda: repository)
    monkeypatch.setattr(services, "repository", lambda: repository)
    return tmp_path / "models"


def test_the_newest_version_is_served_and_what_was_before_is_one_step_back() -> None:
    serve_live("tiny", Serving(version="1"), ENGINEER, NOW)
    row = serve_live("tiny", Serving(slots=2), ENGINEER, NOW)
    assert (row.version, row.previous, row.slots, row.revision) == ("2", "1", 2, 2)
    assert (row.engine, row.context, row.changed_by) == ("llamacpp", 2048, "user:eve")
    back = services.go_back("tiny", ENGINEER, NOW)
    assert (back.version, back.previous, back.revision) == ("1", "2", 3)
    assert back.digest != row.digest
    services.withdraw("tiny", ENGINEER, NOW)
    assert not ServedModel.objects.get().enabled
    with pytest.raises(ModelUnknown):
        services.withdraw("tiny", ENGINEER, NOW)
    records = AuditRecord.objects.filter(kind__in=("model.served", "model.withdrawn"))
    kinds = list(records.order_by("seq").values_list("kind", flat=True))[-4:]
    assert kinds == ["model.served"] * 3 + ["model.withdrawn"]
    told = EventRow.objects.order_by("seq").values_list("data", flat=True)
    live = [one["change"] for one in told if one["change"] != "candidate"]
    assert live == ["served", "served", "served", "withdrawn"]


def test_who_saw_an_older_state_changes_nothing() -> None:
    serve_live("tiny", Serving(), ENGINEER, NOW)
    serve_live("tiny", Serving(slots=3), ENGINEER, NOW, revision=1)
    with pytest.raises(ModelRefused, match="meanwhile"):
        services.serve("tiny", Serving(slots=4), ENGINEER, NOW, revision=1)
    assert ServedModel.objects.get().slots == 3


@pytest.mark.parametrize(
    "how",
    [Serving(context=4096), Serving(context=-1), Serving(slots=0), Serving(keep_alive=-1.0)],
    ids=["longer than the model", "no context", "no slot", "before now"],
)
def test_what_cannot_be_is_refused_at_once(how: Serving) -> None:
    with pytest.raises(ModelRefused):
        serve_live("tiny", how, ENGINEER, NOW)
    assert not ServedModel.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"thread": 2}, "has no option `thread` here .did you mean `threads`"),
        ({"threads": "many"}, "whole number from 1 to 256"),
        ({"threads": True}, "whole number from 1 to 256"),
        ({"gpu_layers": 1000}, "whole number from 0 to 999"),
    ],
)
def test_what_an_engine_is_told_is_checked_when_it_is_said(options: dict[str, int | str], said: str) -> None:
    with pytest.raises(ModelRefused, match=said):
        services.serve("tiny", Serving(options=options), ENGINEER, NOW)
    assert not ServedModel.objects.exists()
    services.serve("tiny", Serving(options={"threads": 2}), ENGINEER, NOW)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ModelUnknown, match="did you mean `tiny`"):
        services.serve("tinny", Serving(), ENGINEER, NOW)


def test_the_matrix_names_served_models_once_each() -> None:
    serve_live("tiny", Serving(), ENGINEER, NOW)
    services.set_chain(Work.CHAT, ["tiny"], ENGINEER, NOW)
    assert overview.chains()[Work.CHAT] == WorkChain.objects.get()
    for wrong in (["tiny", "tiny"], ["large"]):
        with pytest.raises((ModelRefused, ModelUnknown)):
            services.set_chain(Work.CHAT, wrong, ENGINEER, NOW)
    with pytest.raises(ModelRefused, match="meanwhile"):
        services.set_chain(Work.CHAT, [], ENGINEER, NOW, revision=7)
    assert WorkChain.objects.get().models_in_order == ["tiny"]


def test_an_operator_serves_nothing() -> None:
    with pytest.raises(NotAllowed):
        serve_live("tiny", Serving(), Principal("user:omar", Role.OPERATOR), NOW)


def test_without_its_keeper_the_box_still_says_what_it_serves() -> None:
    serve_live("tiny", Serving(), ENGINEER, NOW)
    found = overview.overview()
    assert "does not run" in found.away
    assert [(row.name, row.state) for row in found.rows] == [("tiny", "unknown")]
    with pytest.raises(ModelUnavailable):
        services.load("tiny", ENGINEER)
    assert overview.plain(found.rows[0])["versions"] == ["1", "2"]


def test_what_passed_by_another_golden_set_is_tested_again(models: Path) -> None:
    serve_live("tiny", Serving(version="1"), ENGINEER, NOW)
    serve_live("tiny", Serving(version="2"), ENGINEER, NOW)
    assert isinstance(services.serve("tiny", Serving(version="1"), ENGINEER, NOW), ServedModel)
    (models / "golden").mkdir()
    (models / "golden/any.yaml").write_text("entries: [{prompt: a, equals: b}]")
    assert isinstance(services.serve("tiny", Serving(version="2"), ENGINEER, NOW), Candidate)
    assert ServedModel.objects.get().version == "1"


def test_who_waits_hears_of_the_try_that_he_asked_for_alone(capsys: pytest.CaptureFixture[str]) -> None:
    live = serve_live("tiny", Serving(), ENGINEER, NOW)
    before = newest_try("tiny")
    assert before == Acceptance.objects.get().pk
    candidate = accept("tiny", ENGINEER, NOW)
    assert candidate.digest == live.digest
    drop("tiny", ENGINEER, NOW)
    with pytest.raises(ModelRefused, match="dropped"):
        until_judged(candidate, before, quiet=False)
    found = {"name": "completion", "bound": "at_most", "passed": True, "figure": 0, "limit": 0}
    said = {"unit": "faults", "seconds": 1.0, "detail": "all is well"}
    Acceptance.objects.filter(pk=before).update(results=[{**found, **said, "detail": "long ago"}])
    later = Acceptance.objects.get(pk=before)
    later.pk, later.results = None, [{**found, **said}]
    later.save(force_insert=True)
    assert until_judged(candidate, before, quiet=False).pk == "tiny"
    told = capsys.readouterr().err
    assert "all is well" in told
    assert "long ago" not in told
