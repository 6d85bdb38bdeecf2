"""Nobody in a chat waits for a model that is not ready: it is ordered, and left out until it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.agent.router.readiness import FAILURES, LOAD_EVERY, LONGEST_REST, Readiness
from appliance.inference.client import KeeperClient
from appliance.inference.domain import InstanceState, Need
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import Verb
from tests.standins.embedding_engine import Engine, engine_and_keeper


class Bench:
    def __init__(self, engine: Engine, socket: Path) -> None:
        self.engine, self.now = engine, 0.0
        self.readiness = Readiness(KeeperClient(socket), Need.JSON, lambda: self.now)

    def ask(self, *, fails: bool = False) -> str:
        """The model that was asked, or why none was."""
        try:
            with self.readiness.asking() as model:
                if fails:
                    raise ModelUnavailable("it broke")
                return model.model
        except ModelUnavailable as error:
            return str(error)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with engine_and_keeper(tmp_path / "k.sock") as engine:
        yield Bench(engine, tmp_path / "k.sock")


def test_one_that_is_not_ready_is_ordered_once_a_minute_and_not_waited_for(bench: Bench) -> None:
    bench.engine.state = InstanceState.ABSENT
    assert bench.ask() == "minilm is absent, and nobody waits for it"
    bench.ask()
    assert [(one.verb, one.model, one.principal) for one in bench.engine.orders] == [
        (Verb.LOAD, "minilm", "box")
    ]
    bench.now = LOAD_EVERY
    bench.ask()
    assert len(bench.engine.orders) == 2
    bench.engine.state = InstanceState.READY
    assert bench.ask() == "minilm"


def test_one_that_loads_already_is_not_ordered_again(bench: Bench) -> None:
    bench.engine.state = InstanceState.LOADING
    bench.ask()
    assert bench.engine.orders == []


def test_one_that_fails_again_and_again_has_a_rest_and_is_tried_once_after_it(bench: Bench) -> None:
    assert [bench.ask(fails=True) for _ in range(FAILURES)] == ["it broke"] * FAILURES
    assert "3 times in a row" in bench.ask()
    bench.now = LONGEST_REST
    assert bench.ask(fails=True) == "it broke"
    assert "4 times in a row" in bench.ask()
    bench.now = 3 * LONGEST_REST
    assert [bench.ask(), bench.ask()] == ["minilm", "minilm"]


def test_only_what_the_matrix_names_is_asked_where_it_names_something(bench: Bench) -> None:
    bench.readiness.prefer(["other"])
    assert bench.ask() == "no model for this is served"
    bench.readiness.prefer(["other", "minilm"])
    assert bench.ask() == "minilm"


def test_a_model_elsewhere_hears_what_people_write_only_where_the_matrix_names_it(bench: Bench) -> None:
    bench.engine.is_remote = True
    assert bench.ask() == "no model for this is served"
    bench.readiness.prefer(["minilm"])
    assert bench.ask() == "minilm"


def test_a_keeper_that_is_away_is_said_at_once(tmp_path: Path) -> None:
    readiness = Readiness(KeeperClient(tmp_path / "no.sock"), Need.JSON)
    with pytest.raises(ModelUnavailable, match="does not run"), readiness.asking():
        pass
