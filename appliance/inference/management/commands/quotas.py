import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.inference.gateway.meter import Limit
from appliance.inference.gateway.quotas import list_quotas, remove_quota, set_quota, used_on
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "How much programs may use of the models in a day: list, set, remove."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="every limit, and what was used today (UTC)")
        listing.add_argument("--json", action="store_true")
        setting = verbs.add_parser("set", help="a limit for each day; what is not named has none")
        removing = verbs.add_parser("remove", help="no limit any more")
        for one in (setting, removing):
            one.add_argument("subject", help="token:PERSON/NAME, or role:ROLE")
        setting.add_argument("--requests", type=int, metavar="N")
        setting.add_argument("--tokens", type=int, metavar="N", help="of prompts and answers together")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options, datetime.now(UTC)))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any], now: datetime) -> str:
    if options["verb"] == "list":
        return _listing(now, as_json=options["json"])
    subject = options["subject"]
    if options["verb"] == "set":
        set_quota(subject, Limit(options["requests"], options["tokens"]), CONSOLE, now)
        return f"{subject} is limited now."
    removed = remove_quota(subject, CONSOLE)
    return (
        f"{subject} has no limit of its own any more." if removed else f"{subject} had no limit of its own."
    )


def _listing(now: datetime, *, as_json: bool) -> str:
    limits = [
        {"subject": one.subject, "requests": one.requests, "tokens": one.tokens} for one in list_quotas()
    ]
    used = [
        {"token": one.token, "requests": one.requests, "tokens": one.prompt_tokens + one.generated_tokens}
        for one in used_on(now.date())
    ]
    if as_json:
        return json.dumps({"limits": limits, "used": used})
    lines = [f"{one['subject']}: {_told(one)} a day at most" for one in limits]
    lines += [f"{one['token']} used today: {_told(one)}" for one in used]
    return "\n".join(lines) or "No limits, and nothing used today."


def _told(one: dict[str, Any]) -> str:
    parts = (f"{one[name]} {name}" for name in ("requests", "tokens") if one[name] is not None)
    return ", ".join(parts) or "anything"
