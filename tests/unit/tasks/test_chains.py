"""Tasks that would start each other for ever are refused; what a condition may stop is not."""

import pytest

from appliance.tasks.chains import Links, links_of, starts, stored_links
from appliance.tasks.loader import TaskFileError, load_text
from tests.definitions import task_of

SET = "  actions: [{type: set, value: 1}]\n"


def after(name: str, *followed: str, more: str = "", actions: str = SET) -> str:
    triggers = "".join(f"    - {{task: {{name: {one}{more}}}}}\n" for one in followed)
    return f"- name: {name}\n" + (f"  triggers:\n{triggers}" if followed else "") + actions


def refused(text: str, **known: dict[str, Links]) -> list[str]:
    try:
        load_text(text, "tasks.yaml", known_calls={"stored": ()}, known_links=known.get("links"))
    except TaskFileError as error:
        return [f"{one.path}: {one.message}" for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("trigger: task build", "task build succeeded"),
        ("triggers: [{task: build}]", "task build succeeded"),
        ("triggers: [{task: {name: build, state: failed}}]", "task build failed"),
    ],
)
def test_a_task_trigger_is_written_long_or_short(written: str, said: str) -> None:
    assert str(task_of(f"- name: t\n  {written}\n{SET}").triggers[0]) == said


def test_a_task_that_follows_itself_is_refused_where_it_stands() -> None:
    assert refused(after("a", "a")) == [
        "[0].triggers[0]: these tasks would start each other for ever: a -> a"
    ]


def test_a_round_through_triggers_is_refused_in_each_task() -> None:
    found = refused(after("a", "b") + after("b", "a"))
    assert [one.partition(": ")[2] for one in found] == [
        "these tasks would start each other for ever: a -> b -> a",
        "these tasks would start each other for ever: b -> a -> b",
    ]


def test_a_round_of_a_call_and_a_trigger_is_refused() -> None:
    calling = "  actions: [{type: task, task: b}]\n"
    assert len(refused(after("a", "b", actions=calling) + after("b"))) == 1
    unsure = "  actions: [{type: task, task: b, condition: \"{{ now == '' }}\"}]\n"
    assert refused(after("a", "b", actions=unsure) + after("b")) == []


def test_a_round_through_a_stored_task_is_found() -> None:
    assert len(refused(after("a", "stored"), links={"stored": Links(follows=("a",))})) == 1
    assert refused(after("a", "stored"), links={"stored": Links()}) == []


def test_what_may_end_by_itself_is_allowed() -> None:
    assert refused(after("a", "a", more=", state: failed")) == []
    when = SET.replace("  actions", "  triggers: [{task: a, when: \"{{ event.state == '' }}\"}]\n  actions")
    assert refused(f"- name: a\n{when}") == []


def test_the_followed_task_must_exist() -> None:
    assert refused(after("a", "stord")) == ["[0].triggers[0]: there is no task `stord`"]


def test_a_stored_definition_has_the_same_links() -> None:
    text = after("t", "x", "y", actions="  actions: [{type: task, task: z}]\n")
    definition = task_of(text + "")
    assert links_of(definition) == stored_links(definition.to_canonical()) == Links(("z",), ("x", "y"))
    assert starts({"t": Links(("z",), ("x",))}) == {"t": ["z"], "x": ["t"]}
