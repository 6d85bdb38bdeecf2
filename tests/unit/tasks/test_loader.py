"""A bad file changes nothing and says everything that is wrong with it, each with its place."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tasks.loader import LoadedTask, Problem, TaskFileError, load_text
from tests.searching import search

GOOD = "name: {name}\nactions:\n  - {{type: set, value: 1}}\n"


def problems(text: str, known_calls: dict[str, list[str]] | None = None) -> list[Problem]:
    with pytest.raises(TaskFileError) as caught:
        load_text(text, "tasks.yaml", known_calls=known_calls)
    return list(caught.value.problems)


BAD = """\
- name: guard one
  trigger: "crn * * * * *"
  actions:
    - type: notificaton
- name: b
  triggers:
    - mqtt: {topic: "a/{x}/b", payload: jsno}
      when: "{{ payload.value > vars.limti }}"
    - cron: "61 * * * *"
  vars: {limit: 3}
  actions:
    - type: notification
      platform: telegram
      mesage: hi
- name: c
  trigger: mqtt a/{x}
  vars: {limit: 3}
  actions:
    - type: shell
      command: |
        echo hello
        grep {{ vars.limti }} /x
    - type: set
      value: {a: ["x", '{{ "nobody" ~ x }} it''s {{ nobody }}']}
    - type: set
      value: "one\\n
        two {{ 1 + }}"
"""


def test_all_problems_come_together_each_with_its_place_and_a_suggestion() -> None:
    found = [(p.line, p.column, p.path, p.message, p.hint) for p in problems(BAD)]
    assert found == [
        (1, 9, "[0].name", "'guard one' cannot be used here", ""),
        (2, 12, "[0].trigger", "unknown trigger `crn`", "did you mean `cron`?"),
        (4, 13, "[0].actions[0].type", "unknown action `notificaton`", "did you mean `notification`?"),
        (7, 41, "[1].triggers[0].mqtt.payload", "`jsno` is not known here", "did you mean `json`?"),
        (
            9,
            13,
            "[1].triggers[1].cron",
            "'61 * * * *' has a bad minute field",
            "0 to 59, *, */5, 1-10 or a list",
        ),
        (12, 7, "[1].actions[0]", "`message` is missing", ""),
        (14, 7, "[1].actions[0].mesage", "unknown key `mesage`", "did you mean `message`?"),
        (22, 17, "[2].actions[0].command", "`vars.limti` is not declared", "did you mean `vars.limit`?"),
        (24, 53, "[2].actions[1].value.a[1]", "there is no `nobody`", ""),
        (27, 18, "[2].actions[2].value", "unexpected 'end of the expression'", ""),
    ]


def test_a_problem_reads_as_one_line_a_tool_can_jump_to() -> None:
    [problem] = problems("name: t\nactions:\n  - {type: set, valeu: 1, value: 2}\n")
    assert str(problem) == ("tasks.yaml:3:17: actions[0].valeu: unknown key `valeu` (did you mean `value`?)")
    assert problem.to_json()["line"] == 3


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (GOOD.format(name="a"), 1),
        ("- name: a\n  actions: [{type: set, value: 1}]\n- name: b\n  actions: [{type: set, value: 1}]\n", 2),
        ("tasks:\n  - name: a\n    actions: [{type: set, value: 1}]\n", 1),
    ],
)
def test_a_file_is_a_task_a_list_or_tasks(text: str, count: int) -> None:
    assert len(load_text(text, "x")) == count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("[]", "this does not fit"),
        ("just text", "this does not fit"),
        ("tasks: []\nother: 1", "unknown key `other` beside `tasks`"),
        ("- name: a\n  actions: &x [{type: set, value: 1}]\n- name: b\n  actions: *x\n", "aliases"),
        ("a: [", "not YAML"),
    ],
)
def test_a_file_that_holds_no_tasks_is_refused(text: str, said: str) -> None:
    assert any(said in problem.message for problem in problems(text))


def test_one_name_stands_once_in_a_file() -> None:
    item = "- name: a\n  actions: [{type: set, value: 1}]\n"
    [problem] = problems(item * 2)
    assert (problem.line, problem.message) == (3, "a second task `a` in this file")


LIST = """\
# about all of them

# about a
- name: a   # here
  actions:
    - {type: set, value: 1}

# about b
- name: b
  actions:
    - type: shell
      command: |
        # not a comment
        ls

    # the last
    - {type: set, value: 1}
- {name: c, actions: [{type: set, value: 1}]}
"""


def test_each_task_keeps_its_own_part_of_the_file() -> None:
    a, b, c = load_text(LIST, "x")
    assert a.text == "# about a\n- name: a   # here\n  actions:\n    - {type: set, value: 1}\n"
    assert b.text.startswith("# about b\n- name: b\n")
    assert "# the last" in b.text
    assert c.text == "- {name: c, actions: [{type: set, value: 1}]}\n"
    for task in (a, b, c):
        [again] = load_text(task.text, "y")
        assert again.digest == task.digest


@pytest.mark.parametrize(
    "text",
    [
        "[{name: a, actions: [{type: set, value: 1}]}, {name: b, actions: [{type: set, value: 1}]}]",
        "tasks:\n  -\n    name: a\n    actions: [{type: set, value: 1}]\n"
        "  -\n    name: b\n    actions: [{type: set, value: 'x\n\n    y'}]\n",
        "-\n  # inside\n  name: a\n  actions: [{type: set, value: 1}]\n- # after\n  name: b\n"
        "  actions:\n  - type: set\n    value: |\n      x\n\n        y\n",
    ],
)
def test_a_part_of_a_file_means_the_same_by_itself(text: str) -> None:
    for task in load_text(text, "x"):
        [again] = load_text(task.text, "y")
        assert again.digest == task.digest


def _calling(**calls: list[str]) -> str:
    return "".join(
        f"- name: {name}\n  actions:\n" + "".join(f"    - {{type: task, task: {c}}}\n" for c in called)
        for name, called in calls.items()
    )


def test_tasks_that_call_each_other_in_a_circle_are_refused() -> None:
    found = problems(_calling(a=["b"], b=["c"], c=["a"]))
    assert [p.message for p in found] == [
        "the task `a` calls itself: a -> b -> c -> a",
        "the task `b` calls itself: b -> c -> a -> b",
        "the task `c` calls itself: c -> a -> b -> c",
    ]
    assert [(p.line, p.column) for p in found] == [(3, 26), (6, 26), (9, 26)]


def test_a_circle_through_stored_tasks_is_found() -> None:
    [problem] = problems(_calling(a=["b"]), known_calls={"b": ["a"], "a": []})
    assert problem.message == "the task `a` calls itself: a -> b -> a"


def test_a_called_task_must_exist_where_that_can_be_known() -> None:
    [problem] = problems(_calling(a=["mnitor"]), known_calls={"monitor": []})
    assert (problem.message, problem.hint) == ("there is no task `mnitor`", "did you mean `monitor`?")
    assert load_text(_calling(a=["mnitor"]), "x")


_STEP = "  actions:\n    - type: set\n      value: "


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        "".join(f"- name: t{i}\n{_STEP}1\n" for i in range(5_000)),
        "".join(f"- name: t{i}\n{_STEP}'{{{{ {'payload + ' * 160} 1 }}}}'\n" for i in range(450)),
        "".join(f"- name: t{i}\n{_STEP}'{'{{ payload }}' * 150}'\n" for i in range(450)),
        f"- name: t\n{_STEP}'{{{{ {'(' * 500}1{')' * 500} }}}}'\n",
        f"- name: t\n{_STEP}[{','.join(['a'] * 40_000)}, '{{{{ 1 + }}}}']\n",
        "name: a\n" + "".join(f"k{i}: 1\n" for i in range(20_000)),
        "name: a\nactions: [{type: set, value: '" + "{{ " * 15_000 + "'}]\n# " + "{{ " * 200_000,
        _calling(**{f"t{i}": [f"t{(i + 1) % 400}", f"t{(i + 7) % 400}"] for i in range(400)}),
    ],
    ids=["10 MB", "tasks", "long", "many", "deep", "wide", "keys", "unclosed", "circles"],
)
def test_a_costly_file_is_refused_within_a_second(text: str) -> None:
    before = time.process_time()
    found = problems(text)
    # Processor time of a shared machine: what is not bounded takes minutes.
    assert time.process_time() - before < 4
    assert 0 < len(found) <= 100
    assert all(problem.line >= 1 and problem.column >= 1 for problem in found)


def test_a_file_of_an_ordinary_plant_loads_quickly() -> None:
    text = "".join(
        f"- name: t{i}\n  trigger: mqtt plant/{{line}}/{i}\n{_STEP}'{{{{ payload.v ~ line }}}}'\n"
        for i in range(500)
    )
    before = time.process_time()
    assert len(load_text(text, "x")) == 500
    assert time.process_time() - before < 2


_EXAMPLES = [
    file.read_text(encoding="utf-8")
    for file in sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))
]


@search(200)
@given(
    st.sampled_from([BAD, LIST, *_EXAMPLES]),
    st.lists(st.tuples(st.integers(0, 2000), st.sampled_from([*"{}[]:-'\"|>&*!\n \t#%é", ""])), max_size=4),
)
def test_a_damaged_file_gives_tasks_or_located_problems_and_nothing_else(
    text: str, damage: list[tuple[int, str]]
) -> None:
    for at, char in damage:
        text = text[: at % len(text)] + char + text[at % len(text) + 1 :]
    lines = re.split("\n|\r", text)
    try:
        loaded = load_text(text, "x")
    except TaskFileError as error:
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines) + 1
            assert problem.message
    else:
        assert all(isinstance(task, LoadedTask) for task in loaded)


WRITTEN = """\
name: plain
actions:
  - {type: wait, duration: 5 parsecs}
  - {type: wait, duration: 2000d}
  - {type: mqtt, topic: "a/#", undo: [{type: mqtt, topic: "b c"}]}
  - {type: http, url: "file:///etc/passwd"}
  - {type: foreach, items: 7, actions: [{type: http, url: plant}]}
  - {type: foreach, range: {from: 1, to: 100000000}, actions: [{type: set, value: 1}]}
  - {type: foreach, range: {from: 1, to: many}, actions: [{type: set, value: 1}]}
"""


def test_a_value_that_is_written_out_and_cannot_be_meant_is_found_when_the_file_is_read() -> None:
    assert [(p.line, p.path, p.message) for p in problems(WRITTEN)] == [
        (3, "actions[0].duration", "'5 parsecs' is not a duration"),
        (4, "actions[1].duration", "a wait of 2000d is longer than 366 days"),
        (5, "actions[2].topic", "topic 'a/#' has a wildcard"),
        (5, "actions[2].undo[0].topic", "topic 'b c' has the character ' ' at position 2"),
        (6, "actions[3].url", "'file:///etc/passwd' is not an http or https URL"),
        (7, "actions[4].items", "items: gave a number, not a list"),
        (7, "actions[4].actions[0].url", "'plant' is not an http or https URL"),
        (8, "actions[5].range", "100,000,000 items: a step can be split into at most 1,000,000"),
        (9, "actions[6].range", "range: to is text, not a whole number"),
    ]


def test_what_is_computed_is_left_to_the_run() -> None:
    found = load_text(
        """\
name: computed
vars: {x: 5 parsecs, n: 7}
actions:
  - {type: wait, duration: "{{ vars.x }}"}
  - {type: mqtt, topic: "{{ vars.x }}"}
  - {type: http, url: "{{ vars.x }}"}
  - {type: foreach, items: "{{ vars.n }}", actions: [{type: set, value: 1}]}
  - {type: foreach, items: ["{{ vars.n }}", 2], actions: [{type: set, value: 1}]}
  - {type: foreach, range: {from: 1, to: "{{ vars.n }}"}, actions: [{type: set, value: 1}]}
""",
        "tasks.yaml",
    )
    assert [len(task.definition.actions) for task in found] == [6]
