"""Task definitions for tests, from the YAML that a person would write."""

from textwrap import dedent

from appliance.tasks.definition import TaskDefinition
from appliance.tasks.loader import load_text


def task_of(text: str) -> TaskDefinition:
    """The one task in ``text``; a wrong one raises what its author would see."""
    (loaded,) = load_text(dedent(text), "test.yaml")
    return loaded.definition
