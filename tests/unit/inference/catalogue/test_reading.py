"""What is read of files that nobody trusts: facts, or a sentence; never a hang, a crash, or a guess."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.manifest import Shape
from appliance.inference.catalogue.reading import gguf, safetensors
from appliance.inference.catalogue.reading.facts import Unreadable
from appliance.inference.catalogue.reading.folder import read_folder
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from tests.tiny_model import TEMPLATE, write_tiny_model

CONFIG = {
    "model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "hidden_size": 256, "head_dim": 64, "max_position_embeddings": 4096,
}  # fmt: skip
WEIGHT = {"a": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}


def write_safetensors(path: Path, head: object, data: int = 12, length: int | None = None) -> Path:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + bytes(data))
    return path


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    """A small model as Hugging Face lays it out."""
    write_safetensors(tmp_path / "model.safetensors", {**WEIGHT, "__metadata__": {"format": "pt"}})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE + "{{ tools }}"}))
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return tmp_path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "m.gguf", layers=1).read_bytes()


def gguf_bytes(entries: bytes = b"", *, version: int = 3, tensors: int = 0, count: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, count) + entries + bytes(64)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


# --- what is there is told ----------------------------------------------------------------------------


def test_a_gguf_file_says_what_it_is(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny-f32.gguf")
    (tmp_path / "LICENSE").write_text("MIT")
    (tmp_path / "run.sh").write_text("#!/bin/sh")
    facts = inspect_path(tmp_path)
    assert (facts.format, facts.main, facts.architecture) == (ModelFormat.GGUF, "tiny-f32.gguf", "llama")
    assert (facts.quantisation, facts.context, facts.parameters) == ("F32", 2048, 1446144)
    assert facts.shape == Shape(layers=2, kv_heads=4, head_size=64)
    assert (facts.chat_template, facts.tools, facts.embeddings) == (True, False, False)
    assert facts.files == ("LICENSE", "tiny-f32.gguf")
    assert facts.left_out == (("run.sh", "no part of a model"),)


def test_both_readers_see_the_same_tensors(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "m.gguf")
    own, theirs = gguf.read_head(path), GGUFReader(path)
    assert [(t.name, t.shape, t.kind) for t in own.tensors] == [
        (t.name, tuple(int(n) for n in t.shape), int(t.tensor_type)) for t in theirs.tensors
    ]
    for key, value in own.values.items():
        if isinstance(value, (str, int, float)):
            field = theirs.get_field(key)
            assert field is not None
            assert field.contents() == value


def test_an_encoder_gives_vectors(tmp_path: Path) -> None:
    writer = GGUFWriter(str(tmp_path / "e.gguf"), "bert")
    writer.add_uint32("bert.pooling_type", 1)
    writer.add_array("bert.attention.head_count_kv", [2, 4])
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    facts = read_folder(tmp_path)
    assert facts.embeddings
    assert (facts.quantisation, facts.shape.kv_heads) == ("F16", 4)


def test_a_safetensors_folder_says_what_it_is(safe: Path) -> None:
    (safe / "pytorch_model.bin").write_bytes(b"\x80\x04")
    facts = inspect_path(safe)
    assert (facts.format, facts.main, facts.architecture) == (ModelFormat.SAFETENSORS, ".", "qwen3")
    assert (facts.quantisation, facts.context, facts.parameters) == ("F16", 4096, 6)
    assert facts.shape == Shape(layers=2, kv_heads=2, head_size=64)
    assert (facts.chat_template, facts.tools, facts.licence) == (True, True, "apache-2.0")
    assert facts.left_out == (("pytorch_model.bin", "it can run code when it is read"),)


def test_one_of_several_is_chosen_by_a_pattern(tmp_path: Path) -> None:
    for name in ("m-f16.gguf", "m-f32.gguf"):
        write_tiny_model(tmp_path / name, layers=1)
    with pytest.raises(Unreadable, match="--file"):
        read_folder(tmp_path)
    assert read_folder(tmp_path, "*f16*").main == "m-f16.gguf"
    assert read_folder(tmp_path / "m-f32.gguf").files == ("m-f32.gguf",)


def test_a_part_of_a_split_file_is_none_without_the_others(tmp_path: Path) -> None:
    part = write_tiny_model(tmp_path / "m-00001-of-00002.gguf", layers=1)
    for path in (tmp_path, part):
        with pytest.raises(Unreadable):
            read_folder(path)
    write_tiny_model(tmp_path / "m-00002-of-00002.gguf", layers=1)
    assert len(read_folder(part).files) == 2


# --- what is not taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pkl", "model.ckpt", "model.pth"])
def test_weights_that_are_programs_are_not_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(ModelRefused, match="can run code"):
        inspect_path(tmp_path)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_refused_by_name(safe: Path, file: str) -> None:
    (safe / file).write_text(json.dumps({**CONFIG, "auto_map": {"AutoModel": "modeling_evil.Evil"}}))
    with pytest.raises(Unreadable, match=r"modeling_evil\.Evil"):
        read_folder(safe)


def test_links_are_refused(safe: Path) -> None:
    (safe / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(Unreadable, match="is a link"):
        read_folder(safe)


def test_an_index_that_names_what_is_not_there_is_refused(safe: Path) -> None:
    index = {"weight_map": {"a": "../../etc/passwd"}}
    (safe / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(Unreadable, match="is missing"):
        read_folder(safe)


@pytest.mark.parametrize(
    ("head", "data", "length"),
    [
        (b"{}", 0, 1 << 60),
        (b"{}", 0, 1 << 26),
        (b"[]", 0, None),
        (b"{" * 5000, 0, None),
        (b'{"a": 1, "a": 2}', 0, None),
        ({"a": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 99]}}, 99, None),
        ({"a": {"dtype": "F16", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 12]}}, 12, None),
        ({"a": {"dtype": "F16", "shape": [-2, -3], "data_offsets": [0, 12]}}, 12, None),
        ({"a": {"dtype": "X", "shape": [2, 3], "data_offsets": [0, 12]}}, 12, None),
        ({"a": {"dtype": "F16", "shape": [6], "data_offsets": [4, 16]}}, 16, None),
        ({**WEIGHT, "b": WEIGHT["a"]}, 12, None),
        (WEIGHT, 11, None),
        (WEIGHT, 13, None),
        ({"a": {"dtype": "F16", "shape": [True, 6], "data_offsets": [0, 12]}}, 12, None),
    ],
)
def test_a_safetensors_head_that_lies_is_refused(
    tmp_path: Path, head: object, data: int, length: int | None
) -> None:
    with pytest.raises(Unreadable):
        safetensors.read_head(write_safetensors(tmp_path / "m.safetensors", head, data, length))


def one_tensor(kind: int, *shape: int, offset: int = 0) -> bytes:
    dims = b"".join(struct.pack("<Q", one) for one in shape)
    return text(b"a.weight") + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GGUF", "too short"),
        (b"NOPE" + bytes(60), "no GGUF"),
        (gguf_bytes(version=9), "version 9"),
        (gguf_bytes(tensors=1 << 60), "no model has"),
        (gguf_bytes(count=1 << 60), "no model has"),
        (gguf_bytes(struct.pack("<Q", 1 << 62), count=1), "too long"),
        (gguf_bytes(text(b"k") + struct.pack("<IIQ", 9, 0, 1 << 60), count=1), "too long"),
        (gguf_bytes(text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 20), count=1), "in the middle"),
        (gguf_bytes(text(b"k") + struct.pack("<IIQ", 9, 9, 5), count=1), "unknown kind"),
        (gguf_bytes(text(b"k") + struct.pack("<I", 77), count=1), "unknown kind"),
        (gguf_bytes((text(b"k") + struct.pack("<IB", 0, 1)) * 2, count=2), "twice"),
        (gguf_bytes(text(b"\xff\xfe") + struct.pack("<IB", 0, 1), count=1), "UTF-8"),
        (gguf_bytes(one_tensor(0, 1 << 40, 1 << 40), tensors=1), "impossible"),
        (gguf_bytes(one_tensor(0, 0), tensors=1), "impossible"),
        (gguf_bytes(one_tensor(0, 1 << 20), tensors=1), "cut off"),
        (gguf_bytes(one_tensor(0, 4, offset=1 << 62), tensors=1), "cut off"),
        (gguf_bytes(one_tensor(0, 4, offset=3), tensors=1), "is wrong"),
        (gguf_bytes(one_tensor(2, 5), tensors=1), "is wrong"),
        (gguf_bytes(one_tensor(200, 4), tensors=1), "unknown type"),
        (gguf_bytes(one_tensor(0, 1) * 2, tensors=2), "is wrong"),
        (gguf_bytes(one_tensor(0, 1, 1, 1, 1, 1), tensors=1), "5 dimensions"),
        (
            gguf_bytes(text(b"general.alignment") + struct.pack("<II", 4, 0), count=1),
            "power of two",
        ),
    ],
)
def test_a_gguf_head_that_lies_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=said):
        gguf.read_head(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, tiny: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny[:-4096])
    with pytest.raises(Unreadable, match="cut off"):
        read_folder(tmp_path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_a_damaged_head_says_the_reader_ends_in_words(
    tmp_path: Path, tiny: bytes, data: st.DataObject
) -> None:
    head = bytearray(tiny[:12_000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, 9_000))
        head[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(head) + tiny[12_000:])
    said = ""
    try:
        read_folder(tmp_path)
    except Unreadable as refused:
        said = str(refused)
    assert said.isprintable()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
        )
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F16", "F32", "F4", "X"]),
                "shape": st.lists(st.integers(-2, 1 << 62), max_size=3),
                "data_offsets": st.lists(st.integers(-2, 1 << 62), max_size=3),
            }
        ),
        max_size=3,
    )
)
def test_whatever_a_safetensors_head_says_the_reader_ends_in_words(tmp_path: Path, head: object) -> None:
    said = ""
    try:
        safetensors.read_head(write_safetensors(tmp_path / "m.safetensors", head))
    except Unreadable as refused:
        said = str(refused)
    assert said.isprintable()
