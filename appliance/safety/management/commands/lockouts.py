"""``manage.py lockouts``: take something out of use by name, and give it back."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.services import get_user
from appliance.lib.errors import MillwrightError
from appliance.safety.budgets.model import Then
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope, Target
from appliance.safety.plant_state.models import LockOutRow


class Command(BaseCommand):
    help = "List what is locked out, lock something out, or give it back."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="what is locked out, by whom and why")
        listed.add_argument("--json", action="store_true", dest="as_json")
        add = verbs.add_parser("add", help="lock out a device, topics, a task or the whole box")
        add.add_argument("scope", choices=[one.value for one in Scope])
        add.add_argument("pattern", nargs="?", default="", help="the name, or for topics a filter")
        add.add_argument("--then", choices=[one.value for one in Then], default=Then.DENY.value)
        end = verbs.add_parser("end", help="give it back")
        end.add_argument("number", type=int)
        for verb in (add, end):
            verb.add_argument("--as", dest="person", required=True, metavar="NAME", help="who does that")
            verb.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            match options["verb"]:
                case "list":
                    self._list(as_json=options["as_json"])
                case "add":
                    row = services.lock_out(
                        Scope(options["scope"]),
                        options["pattern"],
                        options["reason"],
                        get_user(options["person"]).principal,
                        now,
                        Then(options["then"]),
                    )
                    self.stdout.write(f"{row.pk}: {_target(row)} is locked out")
                case _:
                    by = get_user(options["person"]).principal
                    row = services.give_back(options["number"], options["reason"], by, now)
                    self.stdout.write(f"{_target(row)} is given back")
        except MillwrightError as error:
            raise CommandError(f"{error} {error.hint or ''}".strip()) from error

    def _list(self, *, as_json: bool) -> None:
        rows = services.lockouts()
        if as_json:
            said = [
                {
                    "id": row.pk,
                    "scope": row.scope,
                    "pattern": row.pattern,
                    "then": row.then,
                    "by": row.by,
                    "reason": row.reason,
                    "since": row.since.isoformat(),
                }
                for row in rows
            ]
            self.stdout.write(json.dumps(said, ensure_ascii=False))
            return
        for row in rows:
            since = f"{row.since:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"{row.pk:>5}  {_target(row):<40} {row.by}, {since}: {row.reason}")
        if not rows:
            self.stdout.write("Nothing is locked out.")


def _target(row: LockOutRow) -> str:
    return str(Target(Scope(row.scope), row.pattern))
