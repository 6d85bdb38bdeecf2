from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

FOLDER = Path(__file__).resolve().parents[4] / "docs" / "reference"


class Command(BaseCommand):
    help = "Print the generated reference pages, write them into docs/, or check that they are current."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--write", action="store_true", help="write them into docs/reference")
        choice.add_argument(
            "--check", action="store_true", help="exit status 1 where one of them is not current"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for path, render in pages():
            page = render()
            if options["write"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(page, encoding="utf-8")
                self.stdout.write(f"written: {path}")
            elif not options["check"]:
                self.stdout.write(page)
            elif not path.exists() or path.read_text(encoding="utf-8") != page:
                raise CommandError(f"{path} is not what the code says now: make docs", returncode=1)


def pages() -> Iterator[tuple[Path, Callable[[], str]]]:
    """Each area's module ``reference``, found by being there: its page's name, and what makes the page."""
    for app in apps.get_app_configs():
        if app.name.startswith("appliance.") and find_spec(f"{app.name}.reference") is not None:
            module = import_module(f"{app.name}.reference")
            yield FOLDER / module.PAGE, module.render_reference
