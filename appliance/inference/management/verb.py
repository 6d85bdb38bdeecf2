"""What a verb of ``manage.py models`` is, and how all of them are found."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Options = dict[str, Any]
Say = Callable[[str], None]
"""Prints a line."""

_FOLDER = Path(__file__).with_name("models_commands")


def _nothing(parser: ArgumentParser) -> None:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Verb:
    """``perform`` gets the options, ``json`` among them, and prints. It raises MillwrightError: exit status 1."""

    name: str
    help: str
    perform: Callable[[Options, Say], None]
    add_arguments: Callable[[ArgumentParser], None] = _nothing


def verbs() -> Mapping[str, Verb]:
    """All of them, by name."""
    found = {}
    for file in sorted(_FOLDER.glob("[!_]*.py")):
        verb = import_module(f"{__package__}.models_commands.{file.stem}").VERB
        assert isinstance(verb, Verb)
        found[verb.name] = verb
    return found
