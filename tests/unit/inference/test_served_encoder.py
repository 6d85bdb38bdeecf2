"""An embedding model is asked through a lease, in batches, pinned by its digest, and never twice for one text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from appliance.inference.client import KeeperClient
from appliance.inference.embeddings.served import BATCH, ServedEncoder
from appliance.inference.embeddings.vectors import KeptEncoder, packed, unpacked
from appliance.inference.errors import ModelUnavailable
from appliance.lib.errors import MillwrightError
from tests.standins.embedding_engine import Engine, engine_and_keeper


class Shelf:
    """The store of one test."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def read(self, digest: str, texts: Sequence[str]) -> dict[str, bytes]:
        return {text: self.kept[digest, text] for text in texts if (digest, text) in self.kept}

    def write(self, digest: str, found: Mapping[str, bytes]) -> None:
        self.kept |= {(digest, text): values for text, values in found.items()}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engine_and_keeper(tmp_path / "k.sock") as engine:
        yield engine


def encoder(folder: Path, digest: str = "d" * 64) -> ServedEncoder:
    return ServedEncoder(KeeperClient(folder / "k.sock"), "minilm", digest, 2)


def test_vectors_come_in_batches_in_the_order_of_the_texts(engine: Engine, tmp_path: Path) -> None:
    texts = ["a" * (index + 1) for index in range(BATCH + 3)]
    matrix = encoder(tmp_path).encode(texts)
    assert [len(batch) for batch in engine.asked] == [BATCH, 3]
    assert matrix.rows == len(texts)
    assert matrix.row(0).tolist() == pytest.approx([0.7071, 0.7071], abs=1e-4)
    assert matrix.row(2).tolist() == pytest.approx([0.9487, 0.3162], abs=1e-4)
    assert engine.wishes[0].pinned == "d" * 64


def test_other_weights_under_the_same_name_are_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MillwrightError, match="another one"):
        encoder(tmp_path, "e" * 64).encode(["a"])
    assert engine.asked == []


def test_an_engine_that_fails_is_told_to_the_keeper(engine: Engine, tmp_path: Path) -> None:
    engine.status = 500
    with pytest.raises(ModelUnavailable):
        encoder(tmp_path).encode(["a"])


def test_no_keeper_is_a_model_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        encoder(tmp_path).encode(["a"])


def test_what_was_made_once_is_read(engine: Engine, tmp_path: Path) -> None:
    shelf = Shelf()
    first = KeptEncoder(encoder(tmp_path), shelf).encode(["Run it", "run  it", "other"])
    again = KeptEncoder(encoder(tmp_path), shelf).encode(["RUN it", "new"])
    assert engine.asked == [["run it", "other"], ["new"]]
    assert again.row(0) == first.row(0) == first.row(1)


def test_half_precision_is_enough() -> None:
    assert unpacked(packed([0.1, -0.7, 0.0])) == pytest.approx([0.1, -0.7, 0.0], abs=1e-3)
