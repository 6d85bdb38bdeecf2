"""``manage.py runs``: list, show, cancel."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.runs import services
from appliance.runs.models import Run, Step
from appliance.runs.shards.reading import progress_of
from appliance.tasks.models import Task


class Command(BaseCommand):
    help = "List runs, show one, cancel one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="the newest runs")
        listed.add_argument("--state", default="")
        listed.add_argument("--limit", type=int, default=20)
        listed.add_argument("--json", action="store_true", dest="as_json")
        show = verbs.add_parser("show", help="one run with its steps")
        show.add_argument("run", type=UUID)
        show.add_argument("--json", action="store_true", dest="as_json")
        cancel = verbs.add_parser("cancel", help="end a run")
        cancel.add_argument("run", type=UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        names = dict(Task.objects.values_list("id", "name"))
        rows = Run.whole.order_by("-id")
        if options["state"]:
            rows = rows.filter(state=options["state"])
        found = [
            {"id": str(run.pk), "task": names.get(run.task_id, ""), "state": run.state, "reason": run.reason}
            for run in rows[: options["limit"]]
        ]
        if options["as_json"]:
            self.stdout.write(json.dumps(found))
        for row in found if not options["as_json"] else []:
            self.stdout.write(f"{row['id']}  {row['state']:<10} {row['task']:<24} {row['reason']}")

    def _show(self, options: dict[str, Any]) -> None:
        run = services.get(options["run"])
        steps = Step.objects.filter(run_id=run.pk).order_by("position", "attempt")
        shown = {
            "id": str(run.pk),
            "task": services.task_name(run),
            "state": run.state,
            "waiting_for": run.waiting_for,
            "reason": run.reason,
            "warning": run.warning,
            "steps": [
                {
                    "step": s.step,
                    "attempt": s.attempt,
                    "state": s.state,
                    "effect": s.effect,
                    "output": s.output,
                    "stderr": s.stderr,
                    "error": s.error,
                }
                for s in steps
            ],
        }
        shards = progress_of(run.pk)
        if shards:
            shown["shards"] = [one.to_json() for one in shards]
        if options["as_json"]:
            self.stdout.write(json.dumps(shown))
            return
        self.stdout.write(f"{shown['task']}: {run.state} {run.waiting_for} {run.reason}".strip())
        if run.warning:
            self.stdout.write(f"warning: {run.warning}")
        for step in steps:
            self.stdout.write(f"  {step.step:<20} #{step.attempt} {step.state:<12} {step.error}")
        for one in shards:
            said = ", ".join(f"{kind} {number}" for kind, number in one.counts.items())
            self.stdout.write(f"  shards of {one.split.step}: {one.total} ({said})")

    def _cancel(self, options: dict[str, Any]) -> None:
        services.cancel(options["run"], CONSOLE)
        self.stdout.write("cancelled")
