"""``manage.py doctor``: what is not as it should be, and what to do about it."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.lib.config import ROOT, get_config
from appliance.lib.doctor import Field, Outcome, Patient
from appliance.ops.doctor import Finding, examine, reference

PAGE = ROOT / "docs" / "reference" / "checks.md"
MARKS = {Outcome.GOOD: "ok", Outcome.PROBLEM: "!!", Outcome.UNKNOWN: "??", Outcome.ABSENT: "--"}


class Command(BaseCommand):
    help = "Look at the box and say what is wrong: its parts, or with --security what others could use."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--security", action="store_true", help="the checks about security")
        parser.add_argument("--all", action="store_true", dest="everything", help="both")
        parser.add_argument("--json", action="store_true", dest="as_json")
        page = parser.add_mutually_exclusive_group()
        page.add_argument("--write", action="store_true", help="write docs/reference/checks.md")
        page.add_argument("--check", action="store_true", help="exit status 1 where that page is not current")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["write"]:
            PAGE.write_text(reference(), encoding="utf-8")
            self.stdout.write(f"written: {PAGE}")
            return
        if options["check"]:
            if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != reference():
                raise CommandError(f"{PAGE} is not what the code says now: make docs", returncode=1)
            return
        field = Field.SECURITY if options["security"] else Field.GENERAL
        found = examine(Patient(get_config(), datetime.now(UTC)), None if options["everything"] else field)
        bad = sum(finding.bad for finding in found)
        if options["as_json"]:
            self.stdout.write(json.dumps({"healthy": not bad, "checks": [one.to_json() for one in found]}))
        else:
            for finding in found:
                self._say(finding)
            self.stdout.write(f"{len(found)} checks, {bad} of them need somebody.")
        if bad:
            raise SystemExit(1)

    def _say(self, finding: Finding) -> None:
        check, found = finding.check, finding.found
        said = f": {found.said}" if found.said else ""
        weight = f" ({check.severity})" if found.outcome is Outcome.PROBLEM else ""
        self.stdout.write(f"{MARKS[found.outcome]} {check.id}  {check.title}{said}{weight}")
        if found.outcome is Outcome.PROBLEM:
            self.stdout.write(f"           {check.fix}")
