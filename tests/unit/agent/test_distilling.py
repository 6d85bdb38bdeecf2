"""A student is taken only where it is measured to be as good, and is never more than one more proposal."""

import json
from pathlib import Path

import pytest

from appliance.agent.router.distilling import Labelled, Measured, NotDistilled, distil, labels_in, labels_of
from appliance.agent.router.domain import How, Meaning
from appliance.agent.router.golden import read_golden
from appliance.agent.router.interpreting import Asked
from appliance.agent.router.knowledge import World, build
from appliance.agent.router.router import Router
from appliance.agent.router.student import POINTER, Student, StudentUnreadable, installed, load, save

WORLD, _ = read_golden()
KNOWN = build(World(WORLD.tasks))
FILLERS = (
    "now",
    "please",
    "today",
    "again",
    "friend",
    "dear",
    "box",
    "quick",
    "well",
    "so",
    "then",
    "there",
    "you",
)


def labelled(right: bool = True, seconds: float | None = 0.5) -> list[Labelled]:
    """Two easy classes; where ``right`` is False, the held-out sentences are labelled the other way round."""
    lines = []
    for number in range(60):
        held, word = number % 5 == 0, FILLERS[number % 13]
        names = ("tasks.list", "box.status") if right or not held else ("box.status", "tasks.list")
        lines.append(Labelled(f"jobs here {word} {number}", names[0], held, seconds))
        lines.append(Labelled(f"overall health {word} {number}", names[1], held, seconds))
    return lines


@pytest.fixture(scope="module")
def student() -> Student:
    return distil(labelled())[0]


def test_what_agrees_and_is_faster_is_taken() -> None:
    _, measured = distil(labelled())
    assert measured.objection == ""
    assert measured.agreement >= 0.9
    assert measured.speed is not None
    assert measured.speed > 8


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (labelled(right=False), "it agrees in 0.0%"),
        (labelled(seconds=None), "do not say how long"),
        (labelled(seconds=1e-7), "times as fast, and 8"),
    ],
)
def test_what_does_not_is_refused_with_the_figure(lines: list[Labelled], why: str) -> None:
    assert why in distil(lines)[1].objection


def test_the_bars_are_ninety_percent_and_eight_times() -> None:
    assert Measured(100, 0.9, 8.0, 1.0).objection == ""
    assert Measured(100, 0.89, 8.0, 1.0).objection != ""
    assert Measured(100, 0.9, 7.9, 1.0).objection != ""


def test_too_few_labels_teach_nothing() -> None:
    with pytest.raises(NotDistilled, match="too few"):
        distil(labelled()[:20])


def test_the_same_labels_make_the_same_file(student: Student, tmp_path: Path) -> None:
    one, other = save(student, tmp_path / "a"), save(distil(labelled())[0], tmp_path / "b")
    assert load(one).weights == load(other).weights
    read = installed(tmp_path / "a")
    assert read is not None
    assert read.says("overall health friend 999") == "box.status"
    assert read.measured["agreement"] >= 0.9


def test_a_file_that_is_not_what_it_says_is_refused(student: Student, tmp_path: Path) -> None:
    path = save(student, tmp_path)
    assert installed(tmp_path / "nothing") is None
    for spoil in (path.read_bytes()[:-3], b"{}\n", path.read_bytes().replace(b"ngrams", b"ngrems", 1)):
        path.write_bytes(spoil)
        with pytest.raises(StudentUnreadable):
            load(path)
    with pytest.raises(StudentUnreadable, match="another student"):
        installed(tmp_path)
    (tmp_path / POINTER).write_text("[]")
    with pytest.raises(StudentUnreadable):
        installed(tmp_path)


def test_a_student_goes_through_the_same_checks() -> None:
    class Sure:
        def propose(self, reading: object) -> list[object]:
            from appliance.agent.router.domain import Proposal

            return [Proposal(Meaning("task.run"), How.STUDENT, 0.99)]

    router = Router(KNOWN, (Sure(),))  # type: ignore[arg-type]
    for text in ("don't greet", "greet 5", "stop greet", "greet the moon", "不要 greet"):
        assert router.route(text).meaning is None, text


def test_labels_come_from_a_model_or_a_file(tmp_path: Path) -> None:
    class Teacher:
        def interpret(self, asked: Asked) -> Meaning | None:
            return Meaning("help") if "help" in asked.text else None

    lines = labels_of(Teacher(), KNOWN, ["greet"])
    assert {line.intent for line in lines} == {"help", "none"}
    assert {line.held_out for line in lines} == {True, False}
    assert any("{task}" in line.core for line in lines)
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps({"text": "Run greet", "intent": "task.run", "ms": 5}) + "\n")
    assert [(one.core, one.intent, one.seconds) for one in labels_in(file, KNOWN)] == [
        ("run {task}", "task.run", 0.005)
    ]
    file.write_text('{"text": "x", "intent": "nonsense"}\n')
    with pytest.raises(NotDistilled, match="line 1: there is no intent"):
        labels_in(file, KNOWN)
