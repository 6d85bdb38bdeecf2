"""``manage.py network``: what of the network can be reached."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from appliance.outbox.network.domain import Condition
from appliance.outbox.network.services import NetworkState, TargetState, network_state


class Command(BaseCommand):
    help = "Show what of the network can be reached. Exit status 1 when something is away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="for scripts")

    def handle(self, *, as_json: bool = False, **options: Any) -> None:
        try:
            state = network_state()
        except DatabaseError as error:
            raise CommandError(f"the database is away: {str(error).splitlines()[0]}") from error
        if as_json:
            self.stdout.write(json.dumps(state.to_json()))
        else:
            self.stdout.write("\n".join(_lines(state)))
        if state.condition is not Condition.ONLINE:
            raise CommandError(f"away: {', '.join(target.name for target in state.away)}")


def _lines(state: NetworkState) -> list[str]:
    since = f" since {state.since:%Y-%m-%d %H:%M:%S} UTC" if state.since else ""
    names = {True: "found", False: "not found", None: "none needed"}[state.names_found]
    head = [
        f"{state.condition.value}{since}",
        f"interfaces {', '.join(state.interfaces) or 'none'}; "
        f"default route {'yes' if state.default_route else 'no'}; names {names}",
    ]
    if not state.fresh:
        head.append("Nobody is looking now: the reactor does not run, or has just started.")
    if state.note:
        head.append(state.note)
    return head + [_line(target) for target in state.targets]


def _line(target: TargetState) -> str:
    took = f"{target.round_trip_ms:g} ms" if target.round_trip_ms is not None else target.reason
    return f"  {target.name:<20} {target.state.value:<8} {target.place:<32} {took}"
