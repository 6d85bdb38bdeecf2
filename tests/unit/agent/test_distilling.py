"""A student is taken only where it is measured to be as good, and is never more than one more proposal."""

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from appliance.agent.router.distilling import LONGEST, Measured, Share, distil
from appliance.agent.router.domain import How, Meaning
from appliance.agent.router.golden import read_golden
from appliance.agent.router.interpreting import NO_INTENT, Asked
from appliance.agent.router.knowledge import World, build
from appliance.agent.router.labelling import (
    Labelled,
    NotDistilled,
    family,
    labels_in,
    labels_of,
    sentences,
)
from appliance.agent.router.router import Router
from appliance.agent.router.student import POINTER, Student, StudentUnreadable, installed, load, save

WORLD, _ = read_golden()
KNOWN = build(World(WORLD.tasks))
NOBODY = Share(0, 0)
NAMES = ["greet", "backup_db", "restart_pump_1"]
MEANT = {one.text: one.meant for one in sentences(KNOWN, NAMES)}


class Teacher:
    """Says what the box knows to be meant; wrong in one of so many sentences, the same ones each time."""

    def __init__(self, wrong: float = 0.0) -> None:
        self._wrong = wrong
        self._chance = random.Random(7)

    def interpret(self, asked: Asked) -> Meaning | None:
        meant = MEANT[asked.text]
        if self._chance.random() < self._wrong:
            meant = self._chance.choice([*KNOWN.intents, NO_INTENT])
        return Meaning(meant) if meant != NO_INTENT else None


def told(lines: Sequence[Labelled], seconds: float | None = 0.3) -> list[Labelled]:
    """As if each had taken so long to label."""
    return [Labelled(one.reading, one.intent, one.held_out, seconds, one.meant) for one in lines]


@cache
def labelled(wrong: float = 0.0) -> tuple[Labelled, ...]:
    return tuple(told(labels_of(Teacher(wrong), KNOWN, NAMES)))


@pytest.fixture(scope="module")
def student() -> Student:
    """Of a quarter of the sentences: whether it is good is no matter."""
    return distil(labelled()[::4])[0]


@pytest.fixture(scope="module")
def taken() -> tuple[Student, Measured]:
    return distil(labelled())


def test_a_student_of_a_good_teacher_agrees_in_both_languages(taken: tuple[Student, Measured]) -> None:
    measured = taken[1]
    assert measured.objection == ""
    for share in (measured.all, measured.english, measured.chinese):
        assert share.value >= 0.9
        assert share.of >= 30
    assert measured.speed is not None
    assert measured.speed > 8
    assert measured.seconds < LONGEST
    assert measured.teacher.value == 1.0


def test_a_student_of_a_teacher_that_is_often_wrong_is_refused() -> None:
    measured = distil(labelled(0.2)[::3])[1]
    assert "the teacher itself is right in" in measured.objection
    assert 0.7 < measured.teacher.value < 0.9
    assert measured.all.value < 0.9


def test_what_is_measured_with_was_neither_learnt_nor_made_up() -> None:
    lines = labelled()
    learnt = {family(line.reading) for line in lines if not line.held_out}
    kept_back = {family(line.reading) for line in lines if line.held_out}
    assert not learnt & kept_back
    assert learnt
    assert kept_back
    made_up = {KNOWN.read(one.text).core for one in sentences(KNOWN, NAMES) if one.made_up}
    own = {KNOWN.read(one.text).core for one in sentences(KNOWN, NAMES) if not one.made_up}
    assert not {line.reading.core for line in lines if line.held_out} & (made_up - own)


def measured(
    english: Share, chinese: Share, teacher_ms: float | None = 8.0, teacher: Share = NOBODY
) -> Measured:
    return Measured(english, chinese, teacher_ms, 1.0, teacher)


def test_the_bars_are_ninety_percent_in_each_language_and_eight_times() -> None:
    good, bad = Share(90, 100), Share(89, 100)
    assert measured(good, good).objection == ""
    assert "English" in measured(bad, Share(100, 100)).objection
    assert "Chinese" in measured(Share(100, 100), bad).objection
    assert "7.9 times as fast, and 8" in measured(good, good, 7.9).objection
    assert "do not say how long" in measured(good, good, None).objection
    assert "the teacher itself" in measured(good, good, teacher=bad).objection


def test_how_sure_a_share_is_depends_on_how_many_there_are() -> None:
    few, many = Share(9, 10).interval, Share(900, 1000).interval
    assert few[0] < many[0] < 0.9 < many[1] < few[1]
    assert str(Share(45, 50)) == "90.0% of 50 (95 % confidence: 79% to 96%)"


def test_too_few_labels_teach_nothing() -> None:
    with pytest.raises(NotDistilled, match="too few"):
        distil(labelled()[:20])


def test_the_same_labels_make_the_same_file(student: Student, tmp_path: Path) -> None:
    one, other = save(student, tmp_path / "a"), save(distil(labelled()[::4])[0], tmp_path / "b")
    assert load(one).weights == load(other).weights


def test_a_student_is_read_as_it_was_written(taken: tuple[Student, Measured], tmp_path: Path) -> None:
    save(taken[0], tmp_path)
    read = installed(tmp_path)
    assert read is not None
    assert read.says(KNOWN.read("status of the system")) == "box.status"
    assert read.measured["agreement"] >= 0.9


def test_a_file_that_is_not_what_it_says_is_refused(student: Student, tmp_path: Path) -> None:
    path = save(student, tmp_path)
    assert installed(tmp_path / "nothing") is None
    for spoil in (
        path.read_bytes()[:-3],
        b"{}\n",
        path.read_bytes().replace(b"characters", b"charakters", 1),
    ):
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


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: dict[str, object]) -> Path:
        file = tmp_path / "labels.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return file

    return write


def test_labels_come_from_a_file(file_of: Callable[..., Path]) -> None:
    file = file_of({"text": "Run greet", "intent": "task.run", "ms": 5}, {"text": "hm", "intent": "none"})
    assert [(one.reading.core, one.intent, one.seconds, one.meant) for one in labels_in(file, KNOWN)] == [
        ("run {task}", "task.run", 0.005, "task.run"),
        ("hm", "none", None, ""),
    ]
    with pytest.raises(NotDistilled, match="line 1: there is no intent"):
        labels_in(file_of({"text": "x", "intent": "nonsense"}), KNOWN)
