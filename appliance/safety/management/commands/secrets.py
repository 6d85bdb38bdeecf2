import getpass
import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.lib.secret_input import read_secret
from appliance.safety.secrets import list_secrets, new_key, remove_secret, rotate, set_secret


class Command(BaseCommand):
    help = "Keep named secrets; settings and tasks name them as secret:NAME. A value is never shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        setting = verbs.add_parser(
            "set", help="keep a value; it is asked for, never taken from the command line"
        )
        setting.add_argument("name")
        setting.add_argument(
            "--file", metavar="FILE", help="read the value from FILE, or standard input with -"
        )
        listing = verbs.add_parser("list", help="names, and who set them when")
        listing.add_argument("--json", action="store_true")
        verbs.add_parser("remove", help="forget one").add_argument("name")
        verbs.add_parser("rotate", help="make a new root key and seal every secret with it")
        verbs.add_parser("new-key", help="print a line for a root key file that you keep elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    match options["verb"]:
        case "set":
            set_secret(options["name"], _value(options["file"]), CONSOLE, datetime.now(UTC))
            return f"Use it as secret:{options['name']}."
        case "remove":
            remove_secret(options["name"], CONSOLE)
            return f"{options['name']} is forgotten."
        case "new-key":
            return new_key()
        case "rotate":
            return f"{rotate(CONSOLE)} secrets are sealed with a new key."
        case _:
            return _listing(as_json=options["json"])


def _value(file: str | None) -> str:
    if file:
        return read_secret(file)
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask for the value: use --file")
    return getpass.getpass("Value: ")


def _listing(*, as_json: bool) -> str:
    rows = [
        {"name": row.name, "updated_at": row.updated_at.isoformat(), "updated_by": row.updated_by}
        for row in list_secrets()
    ]
    if as_json:
        return json.dumps(rows)
    lines = [f"{row['name']:<32} {row['updated_at'][:16]}  {row['updated_by']}" for row in rows]
    return "\n".join(lines) or "There are no secrets yet."
