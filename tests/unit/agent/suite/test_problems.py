"""The suite as data: as many as promised, in both languages, and leading nowhere but to its own stand."""

import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from appliance.agent.suite.errors import ProblemInvalid
from appliance.agent.suite.files import look
from appliance.agent.suite.problem import Problem, problem_named, shipped
from appliance.agent.suite.world import same

HAN = re.compile("[一-鿿]")
FILES = {"/var/log/a": "one\ntwo ERROR\nthree error\n", "/var/log/b": "four\n"}


def problem(**given: object) -> Problem:
    """A problem with this in it."""
    whole = shipped()[0].model_dump(exclude_unset=True) | given
    return Problem.model_validate(whole)


def test_there_are_thirty_in_english_and_chinese() -> None:
    counts = Counter(one.language for one in shipped())
    assert (sum(counts.values()), counts["zh"] >= 10, counts["en"] >= 10) == (30, True, True)
    for one in shipped():
        assert bool(HAN.search(one.goal)) is (one.language == "zh")


def test_every_check_asks_for_more_than_words() -> None:
    for one in shipped():
        check = one.check
        assert check.read or check.published or check.tasks or check.told or check.sent or check.values, (
            one.id
        )


@pytest.mark.parametrize(
    "tool",
    [
        "http_get",
        {"http_get": {"url": "https://example.com/"}},
        {"http": {"url": "http://192.168.0.7/stop", "allow_private": True}},
        {"sql_query": {"database": "erp"}},
        "*",
    ],
)
def test_a_problem_that_would_leave_its_stand_is_none(tool: object) -> None:
    with pytest.raises(ValidationError):
        problem(tools=[tool])


def test_a_problem_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(ProblemInvalid, match="hottest-pump"):
        problem_named("coldest-pump")


@pytest.mark.parametrize(
    ("script", "exit_status", "out"),
    [
        ("cat /var/log/a | grep -i error | wc -l", 0, "2\n"),
        ("grep -c ERROR /var/log/a", 0, "1\n"),
        ("tail -n 1 /var/log/a", 0, "three error\n"),
        ("head -1 /var/log/a", 0, "one\n"),
        ("grep -v two /var/log/a", 0, "one\nthree error\n"),
        ("ls /var/log", 0, "/var/log/a\n/var/log/b\n"),
        ("cat /etc/passwd", 1, ""),
        ("rm -rf /", 127, ""),
        ("cat 'unclosed", 2, ""),
    ],
)
def test_the_machine_of_a_stand_only_reads_its_own_files(script: str, exit_status: int, out: str) -> None:
    said = look(script, FILES)
    assert (said.exit, said.out) == (exit_status, out)


def test_nothing_of_a_stands_machine_is_executed() -> None:
    """Neither the twin nor its files know a way to start a program or to read a real file."""
    folder = Path(look.__code__.co_filename).parent
    for name in ("files.py", "world.py"):
        assert not re.search(r"subprocess|os\.|open\(|Path\(", (folder / name).read_text())


@pytest.mark.parametrize(
    ("text", "wanted", "is_same"),
    [
        ("off", "off", True),
        ('{"a": 1}', '{"a":1}', True),
        ("5", 5, True),
        ("on", "off", False),
        ("x", None, True),
    ],
)
def test_a_payload_is_compared_by_what_it_says(text: str, wanted: object, is_same: bool) -> None:
    assert same(text, wanted) is is_same
