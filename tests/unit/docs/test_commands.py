"""Every command, verb, option and make target that the pages name exists, and every command is on its page."""

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.core.management import get_commands, load_command_class

from tests.unit.docs.pages import PAGES, ROOT, blocks, code_words, first_column, title

REFERENCE = ROOT / "docs" / "reference" / "commands.md"
SERVICES = {"web", "worker", "reactor", "beat", "keeper", "guard", "forkserver"}
"""The services themselves: named in one sentence, not in a table."""

_COMMAND = re.compile(r"manage\.py ([a-z_]+)((?: [^`#|&;>]*)?)")
_TARGET = re.compile(r"(?<![\w-])make ([a-z][a-z-]*)")
_OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")


def own_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if str(app).startswith("appliance."))


@cache
def parser_of(name: str) -> argparse.ArgumentParser:
    return load_command_class(get_commands()[name], name).create_parser("manage.py", name)


def verbs_of(name: str) -> dict[str, argparse.ArgumentParser]:
    for action in parser_of(name)._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def named(page: Path) -> Iterator[tuple[str, str]]:
    """Each command that the page tells one to type: its name, and the words behind it."""
    for text in (*blocks(page), *code_words(page)):
        for found in _COMMAND.finditer(text):
            yield found[1], found[2].partition("\n")[0]


def test_every_command_that_a_page_names_exists_with_its_verb_and_options() -> None:
    for page in PAGES:
        for name, rest in named(page):
            assert name in own_commands(), f"{title(page)}: manage.py {name} does not exist"
            parser, words = parser_of(name), rest.split()
            verbs = verbs_of(name)
            if verbs and words and not words[0].startswith("-"):
                for verb in words[0].split("|"):
                    assert verb in verbs, f"{title(page)}: manage.py {name} {verb} does not exist"
                parser = verbs[words[0].split("|")[0]]
            for option in _OPTION.findall(rest):
                said = f"{title(page)}: manage.py {name}{rest}: there is no {option}"
                assert option in options_of(parser), said


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for text in (*blocks(page), *code_words(page)):
            assert set(_TARGET.findall(text)) <= targets, f"{title(page)}: {text}"


def test_the_page_of_commands_has_every_command_with_every_verb_and_no_other() -> None:
    expected = {f"{name} {verb}" for name in own_commands() for verb in verbs_of(name)} | {
        name for name in own_commands() if not verbs_of(name)
    }
    shown = {cell for cell in first_column(REFERENCE) if not cell.startswith("make ")} - {
        "viewer", "operator", "engineer", "admin",
    }  # fmt: skip
    assert shown == expected - SERVICES
    assert all(f"`{name}`" in REFERENCE.read_text() for name in SERVICES)


def test_the_options_that_the_page_of_commands_names_exist() -> None:
    for row in re.findall(r"^\| `([a-z_]+)(?: ([a-z-]+))?` \| (.*) \|$", REFERENCE.read_text(), re.MULTILINE):
        name, verb, said = row
        if name not in own_commands():
            continue
        parser = verbs_of(name)[verb] if verb else parser_of(name)
        for option in re.findall(r"--[a-z][a-z-]*", said):
            assert option in options_of(parser), f"manage.py {name} {verb}: there is no {option}"


def test_the_page_of_commands_has_every_make_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {cell.removeprefix("make ") for cell in first_column(REFERENCE, "make")} == targets
