"""What the pages tell one to write is accepted by the product."""

from pathlib import Path

from appliance.bridges.platforms import parse_platforms
from appliance.runs.policy_view import known_kinds
from appliance.safety.policy.loading import load_policy
from appliance.tasks.loader import load_text
from tests.unit.docs.pages import PAGES, blocks, title


def test_every_task_of_a_page_loads() -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            if text.lstrip().startswith("- name:"):
                assert load_text(text, title(page))


def test_every_step_of_a_page_loads() -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            if text.lstrip().startswith("- type:"):
                steps = "".join(f"    {line}\n" for line in text.splitlines())
                task = f"- name: shown\n  trigger: mqtt plant/{{pump}}\n  actions:\n{steps}"
                assert load_text(task, title(page))


def test_every_platform_configuration_of_a_page_is_read() -> None:
    for page in PAGES:
        for text in blocks(page, "json"):
            if '"platforms"' in text:
                assert parse_platforms(text, title(page)), title(page)


def test_every_policy_of_a_page_is_taken_with_its_cases() -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            if text.startswith("policy:"):
                loaded = load_policy(text, title(page), kinds=known_kinds())
                assert len(loaded.outcomes) == len(loaded.file.cases), title(page)


def test_some_page_shows_a_policy() -> None:
    assert any(text.startswith("policy:") for page in PAGES for text in blocks(page, "yaml"))


def test_the_policy_that_is_shipped_is_taken_with_its_cases() -> None:
    file = Path(__file__).resolve().parents[3] / "docs/examples/policy.yaml"
    assert len(load_policy(file.read_text(), str(file), kinds=known_kinds()).outcomes) == 6
