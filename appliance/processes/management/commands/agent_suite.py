"""``manage.py agent_suite``: whether an agent solves small problems of a plant."""

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.agent.suite.problem import Problem, problem_named, shipped
from appliance.inference.models import ServedModel
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.plain import visible
from appliance.processes.agent_suite import Result, in_a_home_of_its_own, inside, report, written


class Command(BaseCommand):
    help = "Have an agent solve the shipped problems on a stand of its own, and say how many it solves."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--model", default="", metavar="NAME", help="a model of this box; without it the shipped scripts"
        )
        parser.add_argument(
            "--problem", action="append", default=[], metavar="ID", help="only this one; may be repeated"
        )
        parser.add_argument("--list", action="store_true", help="the problems, and what each takes")
        parser.add_argument("--json", action="store_true", help="for programs")
        # By the command itself, in the home that it has made.
        parser.add_argument("--inside", type=Path, help=SUPPRESS)

    def handle(self, **options: Any) -> None:
        try:
            problems = [problem_named(one) for one in options["problem"]] or list(shipped())
            if options["list"]:
                self._list(problems)
            elif options["inside"] is None:
                self._outside(options)
            else:
                self._inside(problems, options["model"], options["inside"], as_json=options["json"])
        except (MillwrightError, RuntimeError) as error:
            raise CommandError(str(error)) from error

    def _list(self, problems: list[Problem]) -> None:
        for one in problems:
            self.stdout.write(f"{one.id:<36} {one.language}  {one.about}")

    def _outside(self, options: dict[str, Any]) -> None:
        model = options["model"]
        if model and not ServedModel.objects.filter(name=model, enabled=True).exists():
            raise CommandError(
                f"the model {model!r} is not served on this box: manage.py models list says which are"
            )
        words = [word for one in options["problem"] for word in ("--problem", one)]
        words += ["--model", options["model"]] if options["model"] else []
        words += ["--json"] if options["json"] else []
        if not options["json"]:
            self.stdout.write("Starting a box of its own for it …")
            self.stdout.flush()
        status = in_a_home_of_its_own(words, get_config().home.keeper_socket)
        if status:
            raise CommandError("not every problem was solved", returncode=status)

    def _inside(self, problems: list[Problem], model: str, keeper: Path, *, as_json: bool) -> None:
        tell = (lambda result: None) if as_json else self._tell
        results = inside(get_config(), problems, model, keeper, tell)
        found = report(results, model)
        if as_json:
            self.stdout.write(written(found))
        else:
            share = f"{found['rate']:.0%}" if results else "-"
            self.stdout.write(
                f"{found['solved']} of {found['problems']} solved ({share}) by {found['model']}"
            )
        # A model's figure is a figure; that the scripts do not solve their own problems is a fault.
        if not model and found["solved"] != found["problems"]:
            raise SystemExit(1)

    def _tell(self, result: Result) -> None:
        seen = result.seen
        spent = f"{seen.turns} turns, {seen.tokens} tokens, {seen.seconds:.1f} s"
        self.stdout.write(f"{'FAIL' if result.faults else 'ok':<4} {result.problem.id:<36} {spent}")
        for fault in result.faults:
            self.stdout.write(f"       {visible(fault)[:300]}")
        self.stdout.flush()
