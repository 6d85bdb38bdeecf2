from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.tasks.reference import render_reference

PAGE = Path(__file__).resolve().parents[4] / "docs" / "reference" / "tasks.md"


class Command(BaseCommand):
    help = "Print the reference page of the task language, write it into docs/, or check that it is current."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--write", action="store_true", help="write docs/reference/tasks.md")
        choice.add_argument(
            "--check", action="store_true", help="exit status 1 where the page is not current"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        page = render_reference()
        if options["write"]:
            PAGE.parent.mkdir(parents=True, exist_ok=True)
            PAGE.write_text(page, encoding="utf-8")
            self.stdout.write(f"written: {PAGE}")
        elif not options["check"]:
            self.stdout.write(page)
        elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
            raise CommandError(f"{PAGE} is not what the code says now: make docs", returncode=1)
