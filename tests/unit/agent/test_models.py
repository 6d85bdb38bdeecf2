"""Models are one more voice of the router: asked through a lease, in a closed form, and silent while they are away."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from appliance.agent.router.domain import How, Meaning
from appliance.agent.router.encoded import EncodedProposer
from appliance.agent.router.golden import read_golden
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import Asked
from appliance.agent.router.knowledge import World, build
from appliance.agent.router.model import ModelInterpreter
from appliance.agent.router.router import Router
from appliance.inference.client import KeeperClient
from appliance.inference.domain import Work
from appliance.inference.embeddings.contract import Matrix
from appliance.inference.embeddings.ngrams import NgramEncoder
from appliance.inference.embeddings.scripts import Reads
from appliance.inference.errors import ModelUnavailable
from tests.standins.embedding_engine import Engine, engine_and_keeper

ASKED = Asked("is it warm in there", own_intents(), ["greet"])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engine_and_keeper(tmp_path / "k.sock") as engine:
        yield engine


def test_a_model_names_an_intent_of_a_closed_list(engine: Engine, tmp_path: Path) -> None:
    engine.says = '{"intent": "task.run", "task": "greet"}'
    assert ModelInterpreter(KeeperClient(tmp_path / "k.sock")).interpret(ASKED) == Meaning(
        "task.run", {"task": "greet"}
    )
    (body,) = engine.bodies
    assert body["temperature"] == 0
    form = body["response_format"]["json_schema"]["schema"]["properties"]
    assert form["task"] == {"enum": ["", "greet"]}
    assert "device.state" in form["intent"]["enum"]
    assert body["messages"][1] == {"role": "user", "content": ASKED.text}
    assert engine.wishes[0].work is Work.CLASSIFICATION


@pytest.mark.parametrize("said", ["", "{", "null", '{"intent": "reboot"}', '{"intent": "none", "task": ""}'])
def test_any_other_answer_is_none(engine: Engine, tmp_path: Path, said: str) -> None:
    engine.says = said
    assert ModelInterpreter(KeeperClient(tmp_path / "k.sock")).interpret(ASKED) is None


def test_an_engine_that_fails_is_unavailable(engine: Engine, tmp_path: Path) -> None:
    engine.status = 500
    with pytest.raises(ModelUnavailable):
        ModelInterpreter(KeeperClient(tmp_path / "k.sock")).interpret(ASKED)


class Blind:
    """Finds the same of everything: the worst that an encoder can be."""

    name, digest, size = "blind", "b" * 64, 1

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    def encode(self, texts: Sequence[str]) -> Matrix:
        if self.away:
            raise ModelUnavailable("away")
        self.asked += texts
        return Matrix(1, NgramEncoder().encode([]).values.__class__("f", [1.0] * len(texts)))


def test_an_encoder_that_finds_everything_alike_changes_nothing_for_the_worse() -> None:
    world, lines = read_golden()
    proposer = EncodedProposer(Blind(), Reads(), own_intents())
    proposer.warm()
    router = Router(build(World(world.tasks, world.devices, world.topics)), (proposer,))
    for line in lines:
        routed = router.route(line.text)
        if line.expected is None:
            assert routed.meaning is None, line.text


def test_an_english_encoder_never_sees_chinese() -> None:
    encoder = Blind()
    proposer = EncodedProposer(encoder, Reads(), own_intents())
    proposer.warm()
    known = build(World())
    assert list(proposer.propose(known.read("现在有哪些东西"))) == []
    assert all(text.isascii() for text in encoder.asked)
    assert [one.how for one in proposer.propose(known.read("list whatever"))] == [How.ENCODER] * 3


def test_an_encoder_that_is_away_or_cold_proposes_nothing() -> None:
    encoder, reading = Blind(), build(World()).read("list whatever")
    proposer = EncodedProposer(encoder, Reads(), own_intents())
    assert list(proposer.propose(reading)) == []
    proposer.warm()
    encoder.away = True
    assert list(proposer.propose(reading)) == []
