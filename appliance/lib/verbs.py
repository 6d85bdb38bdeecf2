"""What commands with verbs have in common: ``manage.py NAME VERB …``, for people as lines and for programs as JSON."""

import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.lib.errors import MillwrightError


@dataclass(frozen=True, slots=True)
class Told:
    """What a verb gave: ``text`` for people, ``data`` for programs. ``text`` is in words, ``data`` in codes."""

    text: str
    data: Any


class VerbCommand(BaseCommand, ABC):
    """``verbs`` says what there is; ``perform`` does one of them. What is refused is one sentence, no traceback."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        found = parser.add_subparsers(dest="verb", required=True)
        self.verbs(found)
        for one in found.choices.values():
            one.add_argument("--json", action="store_true", help="as JSON, for programs")

    @abstractmethod
    def verbs(self, verbs: "_SubParsersAction[Any]") -> None:
        """Add a parser for each."""

    @abstractmethod
    def perform(self, options: Mapping[str, Any]) -> Told:
        """Raises MillwrightError, CommandError."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told = self.perform(options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(told.data, ensure_ascii=False) if options["json"] else told.text)


def said(options: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """What the options say of each field, by the option's name; a field of which they say nothing is left out."""
    found = {field: options[option] for field, option in fields.items()}
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in found.items()
        if value is not None
    }
