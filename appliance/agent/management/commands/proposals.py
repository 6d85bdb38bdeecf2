"""``manage.py proposals``: tasks that agents propose."""

import difflib
import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent.models import AgentProposal
from appliance.agent.proposals import services
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "List the tasks that agents propose, show one as a difference, take it over, or reject it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="what waits for a person; with --all also what was decided")
        listed.add_argument("--all", action="store_true", dest="everything")
        listed.add_argument("--json", action="store_true", dest="as_json")
        show = verbs.add_parser("show", help="one of them, line by line against the task in force")
        show.add_argument("--json", action="store_true", dest="as_json")
        take = verbs.add_parser("take", help="apply it")
        reject = verbs.add_parser("reject", help="nothing becomes of it")
        reject.add_argument("--reason", default="")
        for one in (show, take, reject):
            one.add_argument("proposal", metavar="ID", help="its identifier, or the end of it")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            match options["verb"]:
                case "list":
                    self._list(everything=options["everything"], as_json=options["as_json"])
                case "show":
                    self._show(options["proposal"], as_json=options["as_json"])
                case "take":
                    done = services.take(options["proposal"], CONSOLE, now)
                    self.stdout.write(f"{done.name}: version {done.version}, {done.change}")
                case _:
                    row = services.reject(options["proposal"], CONSOLE, now, options["reason"])
                    self.stdout.write(f"{row.task}: rejected")
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _list(self, *, everything: bool, as_json: bool) -> None:
        rows = list(services.listing(only_open=not everything)[:100])
        if as_json:
            self.stdout.write(json.dumps([_said(row) for row in rows], ensure_ascii=False))
            return
        for row in rows:
            what = f"changes version {row.base}" if row.base else "new"
            self.stdout.write(f"{str(row.pk)[-12:]}  {row.state:<8}  {row.task} ({what})  {row.why}".rstrip())
        if not rows:
            self.stdout.write("No agent proposes anything.")

    def _show(self, ref: str, *, as_json: bool) -> None:
        row = services.find(ref)
        found = services.compared(row)
        if as_json:
            self.stdout.write(json.dumps({**_said(row), "text": row.text, "moved": found.moved}))
            return
        names = (f"{row.task} version {found.number}" if found.number else "nothing", f"{row.task} proposed")
        lines = difflib.unified_diff(found.before.splitlines(), row.text.splitlines(), *names, lineterm="")
        self.stdout.write("\n".join(lines))
        if found.moved:
            self.stderr.write(f"The task has changed since: this was made from version {row.base}.")


def _said(row: AgentProposal) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "task": row.task,
        "base": row.base,
        "state": row.state,
        "why": row.why,
        "principal": row.ceiling,
        "run": str(row.run_id),
        "step": row.step,
        "by_task": row.by_task,
        "created_at": row.created_at.isoformat(),
        "decided_by": row.decided_by,
        "version": row.version,
    }
