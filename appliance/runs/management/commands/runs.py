"""``manage.py runs``: list, show, cancel, resume, undo."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.outbox.deliveries import DeliveryView, deliveries_of
from appliance.runs import ended, services, taking_back
from appliance.runs.management.commands.tasks import variables
from appliance.runs.models import Checkpoint, Run
from appliance.runs.shards.reading import progress_of
from appliance.runs.under_way import steps_of
from appliance.sandbox.findings import of_run
from appliance.tasks.models import Task


class Command(BaseCommand):
    help = "List runs, show one, cancel one, go on from one, undo one."
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
        resume = verbs.add_parser("resume", help="go on from a step of an ended run, as a new run")
        resume.add_argument("run", type=UUID)
        resume.add_argument(
            "--from", dest="step", default="", metavar="STEP", help="where it stopped if left out"
        )
        resume.add_argument(
            "--checkpoint", type=int, metavar="N", help="a kept checkpoint; `runs show` lists them"
        )
        resume.add_argument(
            "--var", action="append", default=[], metavar="NAME=VALUE", help="for the steps from there on"
        )
        resume.add_argument(
            "--repeat-unsafe", action="store_true", help="do again what was or may have been done"
        )
        undo = verbs.add_parser("undo", help="take back what an ended run did, last step first")
        undo.add_argument("run", type=UUID)

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
        steps = steps_of(run, datetime.now(UTC))
        kept = Checkpoint.objects.filter(run_id=run.pk).defer("content").order_by("number")
        messages = deliveries_of(run.pk)
        undeclared = [{"step": one.step, "did": one.words} for one in of_run(run.pk)]
        shown = {
            "id": str(run.pk),
            "task": services.task_name(run),
            "state": run.state,
            "waiting_for": run.waiting_for,
            "reason": run.reason,
            "warning": run.warning,
            "undeclared": undeclared,
            "steps": [
                {
                    "step": s.step,
                    "attempt": s.attempt,
                    "state": s.state,
                    "effect": s.effect,
                    "output": s.output,
                    "stderr": s.stderr,
                    "error": s.error,
                    "observed": (s.detail or {}).get("observed"),
                }
                for s in steps
            ],
            "deliveries": [one.to_json() for one in messages],
            "checkpoints": [
                {"number": c.number, "step": c.step, "size": c.size, "created_at": c.created_at.isoformat()}
                for c in kept
            ],
            "forked_from": str(run.forked_from) if run.forked_from else None,
            "forked_at_step": run.forked_at_step,
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
        for found in undeclared:
            self.stdout.write(f"amber: step {found['step']} {'; '.join(found['did'])}")
        for step in steps:
            self.stdout.write(f"  {step.step:<20} #{step.attempt} {step.state:<12} {step.error}")
        for message in messages:
            self.stdout.write(f"  {_said(message)}")
        for one in kept:
            self.stdout.write(f"  checkpoint {one.number} of {one.step}, {one.size} bytes")
        for split in shards:
            said = ", ".join(f"{kind} {number}" for kind, number in split.counts.items())
            self.stdout.write(f"  shards of {split.split.step}: {split.total} ({said})")
            if split.split.taken_from:
                self.stdout.write(f"    {split.split.taken} taken over from run {split.split.taken_from}")

    def _resume(self, options: dict[str, Any]) -> None:
        wanted = ended.Resume(
            step=options["step"],
            checkpoint=options["checkpoint"],
            vars=variables(options["var"]),
            repeat_unsafe=options["repeat_unsafe"],
        )
        self.stdout.write(str(ended.resume(options["run"], CONSOLE, wanted)))

    def _undo(self, options: dict[str, Any]) -> None:
        taking_back.undo(options["run"], CONSOLE)
        self.stdout.write("to be undone")

    def _cancel(self, options: dict[str, Any]) -> None:
        services.cancel(options["run"], CONSOLE)
        self.stdout.write("cancelled")


def _said(message: DeliveryView) -> str:
    """A message of a step on one line."""
    words = [f"message of {message.step} to {message.platform} {message.to}".rstrip() + f": {message.state}"]
    if message.delivered_at:
        words.append(f"at {message.delivered_at:%Y-%m-%d %H:%M:%S} UTC")
    if message.message_ids:
        words.append(f"as {', '.join(message.message_ids)}")
    if message.is_open and message.next_at:
        words.append(f"next attempt {message.next_at:%H:%M:%S} UTC")
    words.append(f"attempts {message.attempts}")
    if message.repeat_possible:
        words.append("may come twice" if message.is_open else "may have come twice")
    return ", ".join([*words, *filter(None, (message.reason, message.note))])
