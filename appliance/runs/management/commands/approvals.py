"""``manage.py approvals``: what waits for a person, and their word."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.services import get_user
from appliance.lib.errors import MillwrightError
from appliance.runs import approvals
from appliance.safety.approvals.codes import LIFETIME
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word, closed_ones, open_ones


class Command(BaseCommand):
    help = "List what waits for an approval, approve, deny, or make a one-time code for the telephone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="what is open; with --all also the last decided ones")
        listed.add_argument("--all", action="store_true", dest="everything")
        listed.add_argument("--json", action="store_true", dest="as_json")
        for verb, what in (("approve", "say yes"), ("deny", "say no")):
            one = verbs.add_parser(verb, help=what)
            one.add_argument("approval", metavar="ID", help="its identifier or code")
            one.add_argument("--reason", default="")
        code = verbs.add_parser("code", help="a code that approves it once, typed at /approvals/code/")
        code.add_argument("approval", metavar="ID", help="its identifier or code")
        code.add_argument("--as", dest="person", default="", metavar="NAME", help="the approver who gives it")
        code.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            match options["verb"]:
                case "list":
                    self._list(now, everything=options["everything"], as_json=options["as_json"])
                case "code":
                    self._code(options, now)
                case verb:
                    choice = Choice.APPROVE if verb == "approve" else Choice.DENY
                    word = Word(choice, CONSOLE, Way.CLI, now, reason=options["reason"])
                    done = approvals.decide(options["approval"], word)
                    self.stdout.write(f"{done.task}, step {done.step}: {done.state}")
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _list(self, now: datetime, *, everything: bool, as_json: bool) -> None:
        rows = [*open_ones(now), *(closed_ones(None, 20) if everything else ())]
        if as_json:
            self.stdout.write(json.dumps([_said(row) for row in rows], ensure_ascii=False))
            return
        for row in rows:
            until = f"until {row.expires_at:%m-%d %H:%M} UTC" if row.state == "open" else row.decided_by
            self.stdout.write(f"{row.code}  {row.state:<8}  {row.task}/{row.step}  {until}".rstrip())
            for line in row.shown.splitlines():
                self.stdout.write(f"        {line}")
        if not rows:
            self.stdout.write("Nothing waits for an approval.")

    def _code(self, options: dict[str, Any], now: datetime) -> None:
        by: Principal = get_user(options["person"]).principal if options["person"] else CONSOLE
        code = approvals.mint_code(options["approval"], by, now, CONSOLE.name)
        row = approvals.get(options["approval"])
        if options["as_json"]:
            self.stdout.write(json.dumps({"approval": row.code, "code": code, "minutes": _MINUTES}))
            return
        self.stdout.write(f"{code[:4]} {code[4:]}")
        self.stderr.write(f"Good once, for {_MINUTES} minutes, at /approvals/code/ under {row.code}.")


_MINUTES = int(LIFETIME.total_seconds() // 60)


def _said(row: Approval) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "code": row.code,
        "state": row.state,
        "run": str(row.run_id),
        "task": row.task,
        "step": row.step,
        "shown": row.shown,
        "reason": row.reason,
        "requested_by": row.requested_by,
        "issuer": row.issuer,
        "approvers": row.approvers,
        "expires_at": row.expires_at.isoformat(),
        "decided_by": row.decided_by,
        "decision_reason": row.decision_reason,
    }
