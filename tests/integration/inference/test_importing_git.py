"""A model out of a git repository: cloned by a confined git, its weights by LFS without git-lfs."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.accounts.principal import CONSOLE
from appliance.inference.catalogue.importing import Imported, Wanted, import_model
from appliance.inference.catalogue.repository import Repository
from appliance.inference.catalogue.space import Space
from appliance.inference.catalogue.staging import INCOMING
from appliance.inference.errors import ModelRefused
from appliance.sandbox.process.client import ProcessSandbox
from tests.spawner import RunningSpawner
from tests.standins.model_repository import ModelRepository
from tests.tiny_model import write_tiny_model

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]
NOW = datetime(2026, 11, 28, tzinfo=UTC)
CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 256}


def safetensors(values: int) -> bytes:
    entry = {"a": {"dtype": "F16", "shape": [values], "data_offsets": [0, 2 * values]}}
    head = json.dumps(entry).encode()
    return len(head).to_bytes(8, "little") + head + bytes(2 * values)


def served(folder: Path, config: dict[str, object], large: dict[str, bytes]) -> ModelRepository:
    files = {
        "config.json": json.dumps(config).encode(), "README.md": b"---\nlicense: mit\n---\n",
        "evil.py": b"import os", ".gitattributes": b"*.safetensors filter=lfs\n",
    }  # fmt: skip
    return ModelRepository(folder, files, large)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    weights = {"model.safetensors": safetensors(9000), "pytorch_model.bin": b"\x80\x04" * 900}
    with served(tmp_path, CONFIG, weights) as running:
        yield running


def bring(tmp_path: Path, spawner: RunningSpawner, url: str, **more: str) -> Imported:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    wanted = Wanted(url, "net", space=Space(0), **more)  # type: ignore[arg-type]
    return import_model(wanted, CONSOLE, NOW, home, sandbox=spawner.sandbox)


def test_a_repository_becomes_a_version_with_its_commit(
    tmp_path: Path, spawner: RunningSpawner, repository: ModelRepository
) -> None:
    imported = bring(tmp_path, spawner, f"git+{repository.root}/m.git")
    manifest = imported.stored.manifest
    assert [file.path for file in manifest.files] == ["README.md", "config.json", "model.safetensors"]
    assert (manifest.licence, manifest.parameters, manifest.quantisation) == ("mit", 9000, "F16")
    bare = ["git", "--git-dir", str(repository.folder / "m.git"), "rev-parse", "HEAD"]
    commit = subprocess.run(bare, capture_output=True, text=True, check=True).stdout.strip()
    assert manifest.source == f"git+{repository.root}/m.git@{commit}"
    assert dict(imported.left_out).keys() == {"evil.py", "pytorch_model.bin"}
    assert sum("/large/" in path for path in repository.asked) == 1
    assert list((tmp_path / "home" / "models" / INCOMING).iterdir()) == []
    assert list(Path("/var/tmp").glob("mw-clone-*")) == []


def test_a_large_file_of_another_content_is_refused(
    tmp_path: Path, spawner: RunningSpawner, repository: ModelRepository
) -> None:
    for digest, content in repository.large.items():
        repository.large[digest] = content[:-1] + b"x"
    with pytest.raises(ModelRefused, match="is another file"):
        bring(tmp_path, spawner, f"{repository.root}/m.git")
    assert list(Repository(tmp_path / "home" / "models")) == []


def test_a_large_file_that_the_server_lacks_is_named(
    tmp_path: Path, spawner: RunningSpawner, repository: ModelRepository
) -> None:
    repository.large.clear()
    with pytest.raises(ModelRefused, match=r"does not have model\.safetensors"):
        bring(tmp_path, spawner, f"{repository.root}/m.git")


def test_code_of_its_own_is_refused_before_any_weight_comes(tmp_path: Path, spawner: RunningSpawner) -> None:
    weights = {"model.safetensors": safetensors(10)}
    with served(tmp_path, {**CONFIG, "auto_map": {"AutoModel": "evil.Net"}}, weights) as running:
        with pytest.raises(ModelRefused, match=r"evil\.Net"):
            bring(tmp_path, spawner, f"{running.root}/m.git")
        assert not any("/large/" in path for path in running.asked)


def test_one_of_several_gguf_files_is_chosen(tmp_path: Path, spawner: RunningSpawner) -> None:
    model = write_tiny_model(tmp_path / "t.gguf", layers=1).read_bytes()
    with served(tmp_path, CONFIG, {"m-f32.gguf": model, "m-q8.gguf": model[::-1]}) as running:
        imported = bring(tmp_path, spawner, f"{running.root}/m.git", only="*f32*")
        assert imported.stored.manifest.main == "m-f32.gguf"
        assert sum("/large/" in path for path in running.asked) == 1


def test_what_git_says_is_told(tmp_path: Path, spawner: RunningSpawner, repository: ModelRepository) -> None:
    with pytest.raises(ModelRefused, match="cannot be cloned"):
        bring(tmp_path, spawner, f"{repository.root}/nothing.git")


def test_without_a_sandbox_nothing_is_cloned(tmp_path: Path, repository: ModelRepository) -> None:
    home = tmp_path / "home"
    home.mkdir()
    wanted = Wanted(f"{repository.root}/m.git", "net", space=Space(0))
    nobody = ProcessSandbox(tmp_path / "no.sock")
    with pytest.raises(ModelRefused, match="git runs confined"):
        import_model(wanted, CONSOLE, NOW, home, sandbox=nobody)
    assert repository.asked == []


def test_a_repository_does_not_say_where_questions_of_this_box_go(
    tmp_path: Path, spawner: RunningSpawner
) -> None:
    where = b'{"url": "https://models.example", "model": "theirs", "key": "erp"}'
    folder = tmp_path / "git"
    folder.mkdir()
    with (
        ModelRepository(folder, {"remote.json": where}, {}) as repository,
        pytest.raises(ModelRefused, match="a source from outside does not say where"),
    ):
        bring(tmp_path, spawner, f"git+{repository.root}/m.git")
    assert not list((tmp_path / "home").rglob("remote.json"))
