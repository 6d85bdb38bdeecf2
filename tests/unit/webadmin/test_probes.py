"""Asking the engines takes no longer than the patience, however many of them hang."""

import threading
from collections.abc import Iterator

import pytest

from webadmin.probes import Answer, Prober


class Hanging:
    """An engine that does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.back = threading.Event()

    def __call__(self) -> Answer:
        self.asked += 1
        assert self.back.wait(30)
        return Answer()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.back.set()


def test_who_answers_is_heard_although_another_hangs(hanging: Hanging) -> None:
    prober = Prober({"frozen": hanging, "fine": lambda: Answer(found=7)}, patience=0.05)
    assert prober.ask() == {"frozen": Answer("no answer within 0.05 s"), "fine": Answer(found=7)}


def test_an_engine_that_hangs_is_not_asked_again_and_is_well_when_it_is_back(hanging: Hanging) -> None:
    prober = Prober({"frozen": hanging}, patience=0.01)
    for _ in range(5):
        assert prober.ask()["frozen"].problem
    assert hanging.asked == 1
    hanging.back.set()
    patient = Prober({"frozen": hanging}, patience=10)
    assert patient.ask()["frozen"] == Answer()


def test_a_question_that_breaks_is_a_problem_and_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Answer:
        raise RuntimeError("out of threads")

    found = Prober({"broken": broken}).ask()["broken"]
    assert found.problem == "asking it failed; the log of web says why"
    assert "out of threads" in caplog.text
