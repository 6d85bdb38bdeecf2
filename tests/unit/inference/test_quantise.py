"""A model with fewer bits: written by llama.cpp's code, read back by another implementation."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize

from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.progress import Progress
from appliance.inference.catalogue.space import Space
from appliance.inference.errors import ImportInterrupted, ModelRefused
from appliance.inference.quantise.quantising import quantise
from appliance.inference.quantise.recipe import BITS, Build, Recipe, Weights, kinds
from tests.tiny_model import TEMPLATE, write_tiny_model

pytest.importorskip("xllamacpp")
SPACE = Space(reserve=0)
WORST = {
    "Q4_0": 0.10,
    "Q4_K": 0.09,
    "Q5_K": 0.05,
    "Q6_K": 0.025,
    "Q8_0": 0.008,
    "Q5_0": 0.05,
    "F32": 0.0,
    "F16": 0.001,
}
"""Root mean square of the error, in parts of that of the weights, for weights of a normal distribution."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("whole") / "tiny-f32.gguf")


def weights(layers: int, *, row: int = 256, tied: bool = False) -> list[Weights]:
    found = [Weights("token_embd.weight", (row, 500), "F16"), Weights("output_norm.weight", (row,), "F32")]
    if not tied:
        found.append(Weights("output.weight", (row, 500), "F16"))
    for at in range(layers):
        for part in (
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_output",
            "ffn_up",
            "ffn_down",
            "ffn_gate_inp",
            "attn_norm",
        ):
            shape = (row,) if part == "attn_norm" else (row, row)
            found.append(Weights(f"blk.{at}.{part}.weight", shape, "BF16"))
    return found


# --- which type --------------------------------------------------------------------------------------


def test_four_bits_are_q4_k_m_with_more_where_it_matters() -> None:
    found = kinds(weights(16), BITS[4], Build("llama", 16))
    assert found["output.weight"] == "Q6_K"
    assert found["token_embd.weight"] == "Q4_K"
    assert found["blk.3.attn_q.weight"] == "Q4_K"
    more = [at for at in range(16) if found[f"blk.{at}.ffn_down.weight"] == "Q6_K"]
    assert more == [0, 1, 4, 7, 10, 13, 14, 15]
    assert more == [at for at in range(16) if found[f"blk.{at}.attn_v.weight"] == "Q6_K"]
    assert found["output_norm.weight"] == "F32"
    assert found["blk.0.attn_norm.weight"] == "F32"
    assert found["blk.0.ffn_gate_inp.weight"] == "BF16"


def test_embeddings_that_are_the_output_too_count_as_output() -> None:
    assert kinds(weights(2, tied=True), Recipe.Q4_K_M, Build("llama", 2))["token_embd.weight"] == "Q6_K"


@pytest.mark.parametrize(
    ("row", "expected"), [(256, ("Q4_K", "Q6_K")), (96, ("Q5_0", "Q8_0")), (80, ("F16", "F16"))]
)
def test_rows_that_fit_no_block_take_a_smaller_one(row: int, expected: tuple[str, str]) -> None:
    found = kinds(weights(1, row=row), Recipe.Q4_K_M, Build("llama", 1))
    assert (found["blk.0.attn_q.weight"], found["output.weight"]) == expected


def test_eight_experts_and_seventy_billions_are_known() -> None:
    experts = kinds(weights(8), Recipe.Q4_K_M, Build("llama", 8, experts=8))
    assert experts["blk.3.attn_v.weight"] == experts["blk.3.attn_k.weight"] == "Q8_0"
    assert experts["blk.3.attn_output.weight"] == "Q5_K"
    large = kinds(weights(80), Recipe.Q4_K_M, Build("llama", 80, heads_per_kv=8))
    assert {large[f"blk.{at}.attn_v.weight"] for at in range(80)} == {"Q5_K", "Q6_K"}


# --- what is written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", list(Recipe))
def test_what_is_written_reads_back_by_another_implementation(
    tiny: Path, tmp_path: Path, recipe: Recipe
) -> None:
    seen: list[Progress] = []
    made = quantise(tiny.parent, tmp_path, recipe, space=SPACE, threads=2, on_progress=seen.append)
    assert made.file.name == f"tiny-{recipe.value}.gguf"
    assert [one.name for one in tmp_path.iterdir()] == [made.file.name]
    before, after = GGUFReader(str(tiny)), GGUFReader(str(made.file))
    assert [one.name for one in before.tensors] == [one.name for one in after.tensors]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        back = dequantize(new.data, new.tensor_type)
        assert back.shape == old.data.shape
        error = np.sqrt(np.mean((back - old.data) ** 2) / np.mean(old.data**2))
        assert error <= WORST[new.tensor_type.name], (new.name, new.tensor_type.name, error)
    facts = inspect_path(made.file)
    assert (facts.quantisation, facts.chat_template, facts.context) == (recipe.value, True, 2048)
    assert seen[-1].done == seen[-1].total
    assert made.after < made.before / 3


def test_all_that_the_file_says_of_itself_is_kept(tiny: Path, tmp_path: Path) -> None:
    made = quantise(tiny, tmp_path, Recipe.Q4_K_M, space=SPACE)
    old, new = GGUFReader(str(tiny)), GGUFReader(str(made.file))
    ours = {"general.file_type", "general.quantization_version", "general.quantized_by", "GGUF.kv_count"}
    for name, field in old.fields.items():
        if name not in ours:
            there = new.get_field(name)
            assert there is not None, name
            assert there.contents() == field.contents(), name
            assert there.types == field.types, name
    template = new.get_field("tokenizer.chat_template")
    assert template is not None
    assert template.contents() == TEMPLATE
    assert made.kinds == {"Q4_K": 13, "Q6_K": 3, "F32": 5}


def test_what_is_quantised_already_can_be_taken_down_further(tiny: Path, tmp_path: Path) -> None:
    eight = quantise(tiny, tmp_path / "eight", Recipe.Q8_0, space=SPACE)
    four = quantise(eight.file, tmp_path / "four", Recipe.Q4_K_M, space=SPACE)
    assert four.file.name == "tiny-Q4_K_M.gguf"
    assert four.after < eight.after * 0.65


# --- what goes wrong ---------------------------------------------------------------------------------


def test_values_that_are_no_numbers_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    writer = GGUFWriter(str(tmp_path / "m.gguf"), "llama")
    writer.add_tensor("blk.0.attn_q.weight", np.full((4, 256), np.nan, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelRefused, match="no numbers"):
        quantise(tmp_path / "m.gguf", tmp_path / "out", Recipe.Q4_K_M, space=SPACE)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_of_safetensors_is_refused_with_the_way_on(tmp_path: Path) -> None:
    head = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelRefused, match="tools container") as refused:
        quantise(tmp_path, tmp_path / "out", Recipe.Q4_K_M, space=SPACE)
    assert "--show-job" in str(refused.value)


def test_too_little_room_is_told_before_anything_is_written(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportInterrupted, match="too full"):
        quantise(tiny, tmp_path / "out", Recipe.Q4_K_M, space=Space(reserve=1 << 62))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_full_disk_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(ImportInterrupted, match="too full"):
            quantise(tiny, small, Recipe.Q8_0, space=Space(reserve=-(1 << 40)))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_who_ends_it_in_the_middle_leaves_nothing_and_ends_its_process(tiny: Path, tmp_path: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantise(tiny, tmp_path, Recipe.Q4_K_M, space=SPACE, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


_QUANTISE = """
import sys, time
from pathlib import Path
from appliance.inference.catalogue.space import Space
from appliance.inference.quantise.quantising import quantise
from appliance.inference.quantise.recipe import Recipe
def show(progress):
    print(progress.done, flush=True)
    time.sleep(60)
quantise(Path(sys.argv[1]), Path(sys.argv[2]), Recipe.Q4_K_M, space=Space(0), on_progress=show)
"""


def test_after_kill_nine_the_next_try_clears_up(tiny: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _QUANTISE, str(tiny), str(tmp_path)]
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    assert parent.stdout
    parent.stdout.readline()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert not [one for one in tmp_path.iterdir() if not one.name.startswith(".")]
    made = quantise(tiny, tmp_path, Recipe.Q4_K_M, space=SPACE)
    assert [one.name for one in tmp_path.iterdir()] == [made.file.name]
