"""What was quantised is loaded by real llama.cpp, in the sandbox, and compared with what it was made of."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from appliance.inference.catalogue.space import Space
from appliance.inference.errors import ModelUnavailable
from appliance.inference.quantise.quantising import quantise
from appliance.inference.quantise.recipe import Recipe
from appliance.inference.quantise.trial import PROMPTS, read_prompts, try_both
from tests.spawner import RunningSpawner
from tests.tiny_model import write_tiny_model

pytest.importorskip("xllamacpp")
FEW = ["The pump", "打开车间的", "one, two,"]


def folder_for(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    file = write_tiny_model(folder_for(place, "whole") / "tiny.gguf")
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("recipe", list(Recipe))
def test_llama_cpp_loads_and_answers_each_type(
    whole: Path, place: Path, spawner: RunningSpawner, recipe: Recipe
) -> None:
    made = quantise(whole, place / "made", recipe, space=Space(0))
    trial = try_both(whole, made.file, spawner.sandbox, place / "work", FEW[:1])
    assert trial.compared == 8
    assert trial.speed_before > 0
    assert trial.speed_after > 0
    if recipe is Recipe.Q8_0:
        assert trial.agreement >= 0.5  # of random weights: what is next is a matter of nuances


def test_the_same_model_agrees_with_itself(whole: Path, place: Path, spawner: RunningSpawner) -> None:
    trial = try_both(whole, whole, spawner.sandbox, place / "work", FEW)
    assert (trial.compared, trial.same, trial.is_enough) == (24, 24, True)


def test_another_model_does_not(whole: Path, place: Path, spawner: RunningSpawner) -> None:
    other = write_tiny_model(folder_for(place, "other") / "other.gguf", seed=9)
    other.chmod(0o644)
    assert not try_both(whole, other, spawner.sandbox, place / "work", FEW).is_enough


def test_a_model_that_cannot_be_loaded_is_told(place: Path, whole: Path, spawner: RunningSpawner) -> None:
    broken = folder_for(place, "broken") / "broken.gguf"
    broken.write_bytes(whole.read_bytes().replace(b"blk.0.attn_q", b"blk.0.attn_x"))
    broken.chmod(0o644)
    with pytest.raises(ModelUnavailable, match="the model was not loaded"):
        try_both(broken, whole, spawner.sandbox, place / "work", FEW)


def test_the_command_does_it_as_the_brief_says(whole: Path, place: Path) -> None:
    """Without a box that runs: it brings a sandbox of its own."""
    prompts = place / "prompts.txt"
    prompts.write_text("\n".join(FEW))
    out = StringIO()
    words = ["--input", str(whole.parent), "--output", str(place / "4bit"), "--bits", "4"]
    call_command("quantize", *words, "--prompts", str(prompts), "--keep-free-gb", "0", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert told["output"].endswith("tiny-Q4_K_M.gguf")
    assert told["untried"] == ""
    assert told["compared"] == 24
    assert told["after"]["bytes"] < told["before"]["bytes"] / 4
    with pytest.raises(CommandError, match="is there already"):
        call_command("quantize", *words, "--keep-free-gb", "0", stdout=out)


def test_the_table_warns_where_it_says_something_else(whole: Path, place: Path) -> None:
    out = StringIO()
    prompts = place / "many.txt"
    prompts.write_text("\n".join(read_prompts(PROMPTS)[:4]))
    words = ["--input", str(whole), "--output", str(place / "table"), "--type", "Q4_0"]
    call_command("quantize", *words, "--prompts", str(prompts), "--keep-free-gb", "0", stdout=out)
    table = out.getvalue()
    assert "same next token" in table
    assert ("BELOW 90%" in table) == (float(table.split("same next token")[1].split("%")[0]) < 90)


def test_of_safetensors_the_job_is_printed(place: Path) -> None:
    folder = place / "safe"
    folder.mkdir()
    head = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    words = ["--input", str(folder), "--output", str(place / "x")]
    with pytest.raises(CommandError, match="tools container"):
        call_command("quantize", *words)
    out = StringIO()
    call_command("quantize", *words, "--show-job", stdout=out)
    assert f"-v {folder}:/input:ro" in out.getvalue()
    assert "--network none" in out.getvalue()
    with pytest.raises(CommandError, match="calibrate"):
        call_command("quantize", *words, "--show-job", "--engine", "trtllm", "--image", "i@sha256:1")
    out = StringIO()
    more = ["--image", "i@sha256:1", "--calibration", str(place), "--engine", "trtllm", "--json"]
    call_command("quantize", *words, "--show-job", *more, stdout=out)
    assert "int4_awq" in json.loads(out.getvalue())["argv"]


def test_the_shipped_prompts_are_in_two_languages() -> None:
    prompts = read_prompts()
    assert len(prompts) >= 30
    assert sum(any(ord(letter) > 0x2E80 for letter in prompt) for prompt in prompts) >= 10
