"""The reference page says what the code does."""

from appliance.actions.registry import registry
from appliance.tasks.definition.steps import COMMON_KEYS
from appliance.tasks.management.commands.reference import FOLDER, pages
from appliance.tasks.reference import PAGE, render_reference


def test_the_page_in_the_repository_is_the_one_the_code_gives() -> None:
    assert {path.name for path, _ in pages()} >= {PAGE, "agent-tools.md"}
    assert (FOLDER / PAGE).read_text(encoding="utf-8") == render_reference(), "run `make docs`"


def test_every_key_of_every_kind_is_explained() -> None:
    for line in render_reference().splitlines():
        if line.startswith("| `"):
            assert line.rstrip(" |").count("|") >= 3, f"no meaning: {line}"


def test_no_kind_has_a_key_of_its_own_that_every_action_has() -> None:
    for kind in registry().values():
        assert not COMMON_KEYS & kind.params.model_fields.keys(), kind.name
