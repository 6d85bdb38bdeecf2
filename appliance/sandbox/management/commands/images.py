import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.sandbox.images import pin, pins, unpin


class Command(BaseCommand):
    help = "Pin names of container images to what is in them; tasks name them, or a digest."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        pinning = verbs.add_parser("pin", help="let a name stand for the image with that digest")
        pinning.add_argument("name")
        pinning.add_argument("digest", help="sha256:… as `docker image inspect --format '{{.Id}}'` says it")
        listing = verbs.add_parser("list", help="names, digests, and who pinned them when")
        listing.add_argument("--json", action="store_true")
        verbs.add_parser("unpin", help="let a name stand for nothing").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    match options["verb"]:
        case "pin":
            pin(options["name"], options["digest"], CONSOLE, datetime.now(UTC))
            return f"Use it as image: {options['name']}."
        case "unpin":
            unpin(options["name"], CONSOLE)
            return f"{options['name']} stands for no image any more."
        case _:
            return _listing(as_json=options["json"])


def _listing(*, as_json: bool) -> str:
    rows = [
        {
            "name": row.name,
            "digest": row.digest,
            "pinned_at": row.pinned_at.isoformat(),
            "pinned_by": row.pinned_by,
        }
        for row in pins()
    ]
    if as_json:
        return json.dumps(rows)
    lines = [
        f"{row['name']:<32} {row['digest']}  {row['pinned_at'][:16]}  {row['pinned_by']}" for row in rows
    ]
    return "\n".join(lines) or "No image is pinned yet."
