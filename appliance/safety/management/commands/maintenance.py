"""``manage.py maintenance``: the hours in which something is out of use."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.safety.budgets.model import Then
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope, Window
from appliance.safety.plant_state.services import Hours
from appliance.safety.policy.vocabulary import Day


class Command(BaseCommand):
    help = "List maintenance windows, plan one, or remove one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="what is planned, and what is on now")
        listed.add_argument("--json", action="store_true", dest="as_json")
        add = verbs.add_parser("plan", help="plan one: every week with --days, else once")
        add.add_argument("name")
        add.add_argument("scope", choices=[one.value for one in Scope])
        add.add_argument("pattern", nargs="?", default="", help="the name, or for topics a filter")
        add.add_argument("--days", nargs="+", default=[], choices=[one.value for one in Day])
        add.add_argument("--from", dest="begin", required=True, help="22:00, or once: 2026-12-24T18:00")
        add.add_argument("--to", dest="end", required=True)
        add.add_argument("--zone", default="UTC", help="as Europe/Paris")
        add.add_argument("--then", choices=[one.value for one in Then], default=Then.HOLD.value)
        add.add_argument("--reason", default="")
        verbs.add_parser("remove", help="take one away; what it held goes on").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            match options["verb"]:
                case "list":
                    self._list(now, as_json=options["as_json"])
                case "plan":
                    times = (options["begin"], options["end"], options["zone"])
                    hours = Hours.of_week(options["days"], *times) if options["days"] else Hours.once(*times)
                    services.plan(
                        options["name"],
                        Scope(options["scope"]),
                        options["pattern"],
                        hours,
                        CONSOLE,
                        now,
                        reason=options["reason"],
                        then=Then(options["then"]),
                    )
                    self.stdout.write(f"{options['name']} is planned")
                case _:
                    services.remove(options["name"], CONSOLE, now)
                    self.stdout.write(f"{options['name']} is removed")
        except MillwrightError as error:
            raise CommandError(f"{error} {error.hint or ''}".strip()) from error

    def _list(self, now: datetime, *, as_json: bool) -> None:
        rows = services.windows()
        if as_json:
            said = [
                {
                    "name": one.name,
                    "scope": one.target.scope.value,
                    "pattern": one.target.pattern,
                    "then": one.then.value,
                    "when": _hours(one),
                    "on": one.is_on(now),
                    "reason": one.reason,
                }
                for one in rows
            ]
            self.stdout.write(json.dumps(said, ensure_ascii=False))
            return
        for one in rows:
            on = "on now" if one.is_on(now) else ""
            self.stdout.write(f"{one.name:<24} {one.target!s:<32} {_hours(one)}  {on}".rstrip())
        if not rows:
            self.stdout.write("No maintenance is planned.")


def _hours(one: Window) -> str:
    if one.weekly is not None:
        return f"{' '.join(one.weekly.days)} {one.weekly.from_} to {one.weekly.to} {one.weekly.zone}"
    assert one.begins is not None and one.ends is not None  # noqa: PT018 - the row has one or the other
    return f"{one.begins:%Y-%m-%d %H:%M} to {one.ends:%Y-%m-%d %H:%M} UTC"
