"""The same text has the same vector everywhere, and what is compared has one form."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.embeddings.contract import cosine
from appliance.inference.embeddings.ngrams import NgramEncoder, place_of
from appliance.inference.embeddings.normalising import latin_share, normalised
from appliance.inference.embeddings.scripts import Reads

ENCODER = NgramEncoder()


@given(st.text(max_size=60))
def test_a_normalised_text_is_its_own_normal_form(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert once == once.strip()
    assert "  " not in once


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  Run\tGREET ", "run greet"),
        ("ＲＵＮ　ｇｒｅｅｔ", "run greet"),
        ("ru\u200bn greet", "run greet"),
        ("don\u2019t", "don't"),
        ("运行　１号泵", "运行 1号泵"),
    ],
)
def test_what_only_looks_different_is_the_same(one: str, other: str) -> None:
    assert normalised(one) == other


@given(st.text(max_size=60))
def test_a_vector_has_length_one_or_is_empty(text: str) -> None:
    weights = ENCODER.sparse(text).values()
    assert sum(weight * weight for weight in weights) == pytest.approx(1.0 if normalised(text) else 0.0)


def test_places_are_those_of_every_version() -> None:
    """A change here needs another SCHEME: kept vectors would be compared with others."""
    assert [place_of(gram, 12) for gram in ("ru", "run ", "泵", " 打开")] == [1947, 1501, 3042, 867]
    assert ENCODER.digest[:12] == "6aa8af8c3ebd"


def test_another_process_makes_the_same_vector() -> None:
    code = (
        "from appliance.inference.embeddings.ngrams import NgramEncoder as E;"
        "print(sorted(E().sparse('打开 the pump').items()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert said.stdout.strip() == str(sorted(ENCODER.sparse("打开 the pump").items()))


def test_the_matrix_is_the_sparse_vector() -> None:
    matrix = ENCODER.encode(["show the tasks", "list the tasks", "有哪些任务"])
    assert (matrix.rows, matrix.size) == (3, 4096)
    near, far = cosine(matrix.row(0), matrix.row(1)), cosine(matrix.row(0), matrix.row(2))
    assert near > 0.5 > 0.1 > far
    assert memoryview(matrix.values).itemsize == 4


def test_an_english_encoder_is_not_asked_for_chinese() -> None:
    assert Reads().takes("turn on the light in hall 4")
    assert not Reads().takes("打开车间的灯")
    assert Reads(latin_only=False).takes("打开车间的灯")
    assert not Reads(latin_only=False, unknown_share=lambda text: 0.8).takes("打开车间的灯")
    assert latin_share("4711") == 1.0
