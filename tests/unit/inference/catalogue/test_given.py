"""A model as a command line names it."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.inference.catalogue.given import find_given, name_for
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.catalogue.repository import MANIFEST, Repository
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused, ModelUnknown
from tests.tiny_model import write_tiny_model

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("given") / "Tiny LM-F32.gguf", layers=1)


def stored(root: Path, file: Path, name: str = "tiny", version: str = "1") -> Repository:
    folder = root / name / version
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(file.read_bytes())
    facts = inspect_path(folder / file.name).model_dump(exclude={"files", "left_out"})
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    files = [ModelFile(path=file.name, size=file.stat().st_size, sha256=digest)]
    made = Manifest.model_validate(
        {**facts, "name": name, "version": version, "files": files, "added_at": NOW}
    )
    (folder / MANIFEST).write_text(made.model_dump_json())
    return Repository(root)


def test_files_that_the_box_has_not_are_a_draft_of_an_import(file: Path, tmp_path: Path) -> None:
    for path in (file, file.parent):
        given = find_given(str(path), Repository(tmp_path / "none"))
        assert (given.is_here, given.path, given.folder) == (False, path, file.parent)
        assert given.manifest.format is ModelFormat.GGUF
        assert given.manifest.size == file.stat().st_size
        assert given.manifest.context == 2048
    assert find_given(str(file), Repository(tmp_path)).manifest.name == "tiny-lm-f32"
    assert find_given(str(file), Repository(tmp_path), name="small").manifest.name == "small"


def test_files_that_the_box_has_are_that_version_whatever_they_are_called(file: Path, tmp_path: Path) -> None:
    repository = stored(tmp_path, file)
    given = find_given(str(file), repository)
    assert (str(given), given.is_here, given.folder) == ("tiny@1", True, tmp_path / "tiny/1")
    assert find_given(str(file), repository, name="tiny").is_here
    assert not find_given(str(file), repository, name="other").is_here


def test_the_same_name_and_size_with_another_content_is_another_model(file: Path, tmp_path: Path) -> None:
    repository = stored(tmp_path / "models", file)
    other = tmp_path / file.name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    assert not find_given(str(other), repository).is_here


def test_a_name_is_a_model_of_the_box_with_or_without_its_version(file: Path, tmp_path: Path) -> None:
    repository = stored(tmp_path, file)
    for text in ("tiny", "tiny@1"):
        assert str(find_given(text, repository)) == "tiny@1"
    with pytest.raises(ModelUnknown, match="tiny@2"):
        find_given("tiny@2", repository)
    with pytest.raises(ModelUnknown, match="did you mean") as near:
        find_given("tinny", repository)
    assert "neither a file nor a model" in near.value.message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pytorch_model.bin", b"x", "can run code"),
        ("model.pt", b"x", "can run code"),
        ("model.safetensors", b"x", "the whole folder is needed"),
        ("model.gguf", b"GGUF", "no model for this box"),
        ("notes.txt", b"x", "no GGUF file"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelRefused, match=said) as refused:
        find_given(str(tmp_path / name), Repository(tmp_path / "models"))
    assert refused.value.hint


def test_a_folder_of_pickles_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelRefused, match="no GGUF and no safetensors"):
        find_given(str(tmp_path), Repository(tmp_path / "models"))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelRefused, match="can run code"):
        find_given(str(tmp_path), Repository(tmp_path / "models"))


@pytest.mark.parametrize("text", ["/nowhere/model", "gone.gguf", "gone.bin", "Not A Name"])
def test_a_path_that_leads_nowhere_is_told_as_such(text: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="there is no /") as refused:
        find_given(text, Repository(tmp_path))
    assert "NAME@VERSION" in (refused.value.hint or "")


def test_a_name_follows_from_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "Qwen3 8B (Instruct)"
    folder.mkdir()
    assert name_for(folder) == "qwen3-8b-instruct"
    assert name_for(tmp_path / "Qwen3-8B-Q4_K_M-00001-of-00003.gguf") == "qwen3-8b-q4_k_m"
    with pytest.raises(ModelRefused, match="--name"):
        name_for(tmp_path / "模型.gguf")
