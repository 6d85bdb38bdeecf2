"""A secret that a task names is there when the task is saved, and stands where a step takes one."""

import pytest

from appliance.tasks.errors import TaskFileError
from appliance.tasks.loader import load_text
from appliance.tasks.secret_names import named_in, secrets_of

USES = """
- name: uses
  trigger: manual
  actions:
    - type: http
      url: https://api.example/
      headers: {Authorization: "Token secret:api"}
      undo: {type: shell, args: [curl], env: {KEY: secret:undo}}
    - type: foreach
      items: [1]
      actions: [{type: container, image: tools, args: [x], files: {key: secret:inside}}]
    - {type: foreach, query: {database: rows, query: SELECT 1}, actions: [{type: set, value: 1}]}
  on_failure: [{type: sql, database: shop, query: SELECT 1}]
"""
NAMES = {"api", "undo", "inside", "rows", "shop"}


def problems(text: str, known: set[str] | None) -> list[tuple[int, int, str, str]]:
    with pytest.raises(TaskFileError) as caught:
        load_text(text, "t.yaml", known_secrets=None if known is None else dict.fromkeys(known, True))
    return [(one.line, one.column, one.message, one.hint) for one in caught.value.problems]


def test_every_secret_of_a_task_is_found_wherever_it_stands() -> None:
    (loaded,) = load_text(USES, "t.yaml", known_secrets=dict.fromkeys(NAMES, True))
    assert secrets_of(loaded.definition) == NAMES
    assert named_in(loaded.canonical) == NAMES
    assert load_text(USES, "t.yaml")  # where nobody can say which there are


def test_one_that_is_not_there_is_told_with_its_place_and_the_nearest_name() -> None:
    found = problems(USES, {"app", "undo", "inside", "row"})
    assert [(line, said) for line, _, said, _ in found] == [
        (7, "there is no secret `api`"),
        (12, "there is no secret `rows`"),
        (13, "there is no secret `shop`"),
    ]
    assert [hint for *_, hint in found] == [
        "did you mean `app`?",
        "did you mean `row`?",
        "an administrator sets it: manage.py secrets set shop",
    ]
    assert USES.splitlines()[6][found[0][1] - 1 :].startswith('"Token secret:api')
    assert USES.splitlines()[12][found[2][1] - 1 :].startswith("shop")


def test_no_name_is_told_to_whoever_may_not_use_it() -> None:
    with pytest.raises(TaskFileError) as caught:
        load_text(USES, "t.yaml", known_secrets={"app": False, "undo": True, "inside": True, "row": False})
    assert [one.hint for one in caught.value.problems] == [
        f"an administrator sets it: manage.py secrets set {name}" for name in ("api", "rows", "shop")
    ]


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        ("{type: shell, args: [curl, secret:a]}", "it is taken in env, files"),
        (
            '{type: http, url: "https://x.example/", query: {key: secret:a}}',
            "it is taken in auth, body, headers",
        ),
        ("{type: mqtt, topic: a, payload: secret:a}", "http, shell, container and sql take secrets"),
        ("{type: notification, platform: webchat, message: secret:a}", "http, shell, container and sql"),
        ("{type: set, value: {deep: [secret:a]}}", "http, shell, container and sql take secrets"),
    ],
)
def test_one_where_its_name_would_be_taken_for_the_value_is_refused(step: str, hint: str) -> None:
    text = f"- name: t\n  trigger: manual\n  actions:\n    - {step}\n"
    ((line, _, said, told),) = problems(text, {"a"})
    assert (line, "takes no secret here" in said) == (4, True)
    assert hint in told


def test_variables_hold_no_secret_and_an_expression_may_say_the_words() -> None:
    text = "- name: t\n  trigger: manual\n  vars: {key: secret:a}\n  actions: [{type: set, value: 1}]\n"
    assert [said for _, _, said, _ in problems(text, None)] == [
        "a secret is named in the step that uses it, not in vars"
    ]
    fine = "- name: t\n  trigger: manual\n  actions: [{type: set, value: \"{{ 'secret:a' }}\"}]\n"
    assert load_text(fine, "t.yaml", known_secrets={})
