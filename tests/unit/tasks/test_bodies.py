"""Steps inside steps are read, checked and named like all others."""

import pytest

from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.definition.bodies import DEEPEST, bodies_of, each_step
from appliance.tasks.loader import TaskFileError, load_text
from tests.definitions import task_of

WHOLE = """
- name: t
  trigger: mqtt plant/{pump}
  vars: {hosts: [a, b]}
  actions:
    - {id: first, type: set, value: 3}
    - id: each
      type: foreach
      items: "{{ vars.hosts }}"
      join: {at_least: 2}
      actions:
        - {type: set, value: "{{ item }} {{ index }} {{ outputs.first }} {{ pump }}"}
        - {type: foreach, range: {from: 1, to: 3}, actions: [{type: set, value: "{{ item }}"}]}
    - id: sides
      type: parallel
      branches: {left: [{type: set, value: 1}], right: [{id: r, type: set, value: "{{ outputs.each }}"}]}
"""


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(TaskFileError) as refused:
        load_text(text, "t.yaml")
    return [(one.line, one.column, one.message) for one in refused.value.problems]


def body(step: str, around: str = "type: foreach, items: [1]") -> str:
    return f"- name: t\n  trigger: manual\n  actions:\n    - {{{around}, actions: [\n      {step}]}}\n"


def ids(steps: tuple[StepSpec, ...]) -> list[str]:
    return [step.id for step in each_step(steps)]


def test_every_step_has_an_id_of_its_own_wherever_it_stands() -> None:
    assert ids(task_of(WHOLE).actions) == [
        "first",
        "each",
        "each-set-1",
        "each-foreach-1",
        "each-foreach-1-set-1",
        "sides",
        "sides-left-set-1",
        "r",
    ]


def test_the_stored_form_is_read_back_as_the_same_task() -> None:
    canonical = task_of(WHOLE).to_canonical()
    again = TaskDefinition.from_canonical(canonical)
    assert again.to_canonical() == canonical
    assert ids(again.actions) == ids(task_of(WHOLE).actions)
    assert list(bodies_of(again.actions[2])) == ["left", "right"]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (body("{type: set, value: '{{ itm }}'}"), (5, 30), "there is no `itm`"),
        (body("{type: sett, value: 1}"), (5, 14), "unknown action `sett`"),
        (body("{type: set, valu: 1}"), (5, 19), "unknown key `valu`"),
        (body("{type: set, value: 1}", "type: foreach, items: [1], retry: 3"), (4, 35), "takes no `retry`"),
        (
            body("{type: set, value: 1}", "type: foreach, query: {database: shop, query: '{{ vars.x }}'}"),
            (4, 54),
            "values never enter the text of a query",
        ),
        (
            body("{type: set, value: 1}", "type: foreach"),
            (4, 7),
            "give one of items:, range:, lines: and query:",
        ),
        (
            body("{type: set, value: 1}", "type: foreach, items: [1], join: some"),
            (4, 41),
            "not a way to join",
        ),
        (body("", "type: foreach, items: [1]"), (4, 44), "this does not fit"),
        (body("{type: set, value: '{{ outputs.later }}'}"), (5, 30), "there is no step `later`"),
        (body("{type: task, task: '{{ 1 }}'}").replace("'{{ 1 }}'", "t"), (5, 26), "calls itself"),
    ],
)
def test_what_is_wrong_inside_is_shown_where_it_stands(text: str, place: tuple[int, int], said: str) -> None:
    found = problems(text)
    assert any(said in message for _, _, message in found), found
    assert place in [(line, column) for line, column, _ in found], found


def test_what_is_inside_is_not_seen_outside() -> None:
    after = "    - {type: set, value: '{{ outputs.inner }} {{ item }}'}\n"
    text = body("{id: inner, type: set, value: 1}") + after
    said = [message for _, _, message in problems(text)]
    assert any("there is no step `inner`" in one for one in said)
    assert any("`item` exists only inside foreach" in one for one in said)


def test_a_branch_does_not_see_its_neighbour_nor_an_item() -> None:
    said = problems(
        """
- name: t
  trigger: manual
  actions:
    - type: parallel
      branches:
        left: [{id: l, type: set, value: 1}]
        right: [{type: set, value: "{{ outputs.l }}"}, {type: set, value: "{{ item }}"}]
"""
    )
    assert ["there is no step" in m or "only inside foreach" in m for _, _, m in said] == [True, True]


def test_bodies_stand_so_many_deep_and_no_deeper() -> None:
    def deep(levels: int) -> str:
        step = "{type: set, value: 1}"
        for _ in range(levels):
            step = f"{{type: foreach, items: [1], actions: [{step}]}}"
        return f"- name: t\n  trigger: manual\n  actions: [{step}]\n"

    assert load_text(deep(DEEPEST), "t.yaml")
    assert f"more than {DEEPEST} steps with steps inside" in problems(deep(DEEPEST + 1))[0][2]
