import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, Principal
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes import drill as drills
from appliance.processes.cutting import Cut, what_is_cut
from appliance.safety import allstop
from appliance.safety.errors import SwitchAway
from appliance.safety.stop import AllStop, Level, StopFile


class Command(BaseCommand):
    help = "Stop the box, end a stop, drill it, or show whether it is stopped. Engaging works with the database away."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        engage = verbs.add_parser("engage", help="stop")
        engage.add_argument(
            "--level",
            choices=[level.value for level in Level if level is not Level.NONE],
            default=Level.FREEZE.value,
            help="freeze new effects; kill running sandboxes too; cut all that leaves the box; read_only",
        )
        release = verbs.add_parser("release", help="end the stop")
        drill = verbs.add_parser(
            "drill", help="stop something harmless, measure how long it takes, and release"
        )
        drill.add_argument(
            "--as", dest="person", required=True, metavar="NAME", help="who drills, and releases"
        )
        drill.add_argument(
            "--anyway", action="store_true", help="also while runs are under way: they stop too"
        )
        drill.add_argument("--json", action="store_true")
        status = verbs.add_parser("status", help="exit status 0 either way")
        engage.add_argument("--reason", default="")
        release.add_argument(
            "--reason", required=True, help="why the box may act again; it goes on the record"
        )
        release.add_argument("--as", dest="person", required=True, metavar="NAME", help="who releases it")
        for verb in (engage, release, status):
            verb.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "drill":
            self._drill(options)
            return
        now, home = datetime.now(UTC), get_config().home.path
        try:
            match options["verb"]:
                case "engage":
                    stop = allstop.engage(Level(options["level"]), options["reason"], CONSOLE, now)
                case "release":
                    stop = allstop.release(options["reason"], _person(options["person"]), now)
                case _:
                    stop = allstop.current()
        except SwitchAway as error:
            level = StopFile(home).level()
            if options["verb"] != "engage" or level is Level.NONE:
                raise CommandError(str(error)) from error
            self.stderr.write(str(error))
            stop = AllStop().raised_by_file(level)
        except MillwrightError as error:
            raise CommandError(f"{error} {error.hint or ''}".strip()) from error
        except DatabaseError as error:
            if options["verb"] == "release":
                raise CommandError("the database is away; a stop cannot be released without it") from error
            self.stderr.write("The database is away; this is what the file says.")
            stop = AllStop().raised_by_file(StopFile(home).level())
        cut = what_is_cut(get_config()) if stop.cuts else None
        self.stdout.write(_shown(stop, cut, as_json=options["json"]))

    def _drill(self, options: dict[str, Any]) -> None:
        try:
            found = drills.drill(_person(options["person"]), drills.clock, anyway=options["anyway"])
        except MillwrightError as error:
            raise CommandError(f"{error} {error.hint or ''}".strip()) from error
        if options["json"]:
            self.stdout.write(
                json.dumps({name: value for name, value in asdict(found).items() if name not in ("by", "at")})
            )
        else:
            self.stdout.write(
                f"last effect {found.last_effect_ms:g} ms after the order, last command dead after "
                f"{found.sandbox_ms:g} ms: {'met' if found.met else 'too slow'} (bar {drills.BAR_MS:g} ms)"
            )
        if not found.met:
            raise SystemExit(1)


def _person(name: str) -> Principal:
    """The account of that name, as it may act now."""
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise CommandError(f"there is no account {name} that is switched on; manage.py users list shows them")
    return user.principal


def _shown(stop: AllStop, cut: Cut | None, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {
                "level": stop.level.value,
                "epoch": stop.epoch,
                "since": stop.since.isoformat() if stop.since else None,
                "by": stop.by,
                "reason": stop.reason,
                "cut": cut and {"sending": True, "commands": cut.commands, "lacking": cut.reason},
            }
        )
    if not stop.engaged:
        return "The box is not stopped."
    since = f" since {stop.since:%Y-%m-%d %H:%M:%S} UTC" if stop.since else ""
    said = f"The box is stopped: {stop.level}, by {stop.by}{since}. {stop.reason}".rstrip()
    return f"{said}\n{cut.said}" if cut else said
