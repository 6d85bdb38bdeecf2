"""``models compose``: a served model, and one that could be, as a compose file."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from appliance.accounts.principal import BOX
from appliance.inference import overview, planned, services
from appliance.inference.catalogue.repository import MANIFEST, Repository
from appliance.inference.domain import EngineKind
from appliance.inference.hardware.reading import LastLook
from appliance.inference.management.models_commands import compose
from appliance.inference.services import Serving
from tests.accepted import serve_live
from tests.contract.inference.members import GPU, HARDWARE, safetensors_model
from tests.served_models import tiny_served

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = [f"sha256:{letter * 64}" for letter in "ab"]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of the test's own, on a machine with a GPU and images for it."""
    root = tmp_path / "models"
    for module in (overview, services, compose):
        monkeypatch.setattr(module, "repository", lambda: Repository(root))
    monkeypatch.setattr(planned, "this_machine", LastLook(lambda: HARDWARE))
    monkeypatch.setenv("MILLWRIGHT_MODEL_IMAGES", f"vllm=0.11@{IMAGES[0]},trtllm=1.2.1@{IMAGES[1]}")
    return root


def put_checkpoint(models: Path, name: str) -> None:
    manifest, folder = safetensors_model(models, name)
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def asked(*words: str) -> str:
    out = StringIO()
    call_command("models", "compose", *words, stdout=out)
    return out.getvalue()


def test_a_process_is_refused_with_what_that_means(models: Path) -> None:
    served = tiny_served(models)
    (served.folder / MANIFEST).write_text(served.manifest.model_dump_json())
    serve_live("tiny", Serving(), BOX, NOW)
    with pytest.raises(CommandError, match=r"served by a process.*nothing to compose"):
        asked("tiny")
    with pytest.raises(CommandError, match="is not served on this box"):
        asked("tinny")


def test_a_served_model_is_printed_as_guard_would_make_it(models: Path) -> None:
    put_checkpoint(models, "served")
    serve_live("served", Serving(engine=EngineKind.VLLM, device=GPU, slots=3), BOX, NOW)
    service = yaml.safe_load(asked("served"))["services"]["served"]
    assert service["image"] == IMAGES[0]
    assert service["command"][service["command"].index("--max-num-seqs") + 1] == "3"
    assert service["volumes"][0] == f"{models}/served/1:/models/served:ro"
    assert asked("served", "--model-version", "1") == asked("served")
    assert json.loads(asked("served", "--json"))["compose"].startswith("# served@1 on vllm")


def test_a_version_that_is_not_served_is_planned_as_it_would_be(models: Path, tmp_path: Path) -> None:
    put_checkpoint(models, "other")
    with pytest.raises(CommandError, match="none is named"):
        asked("other", "--model-version", "1")
    file = tmp_path / "out" / "other.yaml"
    words = ("other", "--model-version", "1", "--engine", "trtllm", "--device", GPU, "--output", str(file))
    assert str(file) in asked(*words)
    service = yaml.safe_load(file.read_text())["services"]["other"]
    (name,) = (one for one in (tmp_path / "out/other-files").iterdir())
    assert f"./other-files/{name.name}:/engine/{name.name}:ro" in service["volumes"]
    assert "max_batch_size" in name.read_text()
    with pytest.raises(CommandError, match="there is no model other@2"):
        asked("other", "--model-version", "2")
