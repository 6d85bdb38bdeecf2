"""``manage.py tasks``: validate, apply, list, run, dry-run."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import BOX, CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.lib.located.yaml_reader import MAX_CHARACTERS
from appliance.runs.domain import FINAL, RunState, Waiting
from appliance.runs.preview import captures_of, lacking, preview, said_to
from appliance.runs.services import get, start_task
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.loader import LoadedTask, Problem, TaskFileError, load_text
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text, definition_of, find, load_here

SUFFIXES = (".yaml", ".yml")
STOPS = (Waiting.AMBIGUOUS, Waiting.APPROVAL)


class Command(BaseCommand):
    help = "Validate, store, list, start and try task files."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        validate = verbs.add_parser("validate", help="check files; needs no running service")
        validate.add_argument("paths", nargs="+", type=Path)
        validate.add_argument("--json", action="store_true", dest="as_json")
        validate.add_argument(
            "--here",
            action="store_true",
            help="as this box would take them: its tasks, brokers and platforms",
        )
        apply = verbs.add_parser(
            "apply", help="store what is new in files or folders, all or nothing per file"
        )
        apply.add_argument("paths", nargs="+", type=Path)
        listed = verbs.add_parser("list", help="what is stored")
        listed.add_argument("--json", action="store_true", dest="as_json")
        run = verbs.add_parser("run", help="start a task now")
        run.add_argument("name")
        run.add_argument(
            "--var", action="append", default=[], metavar="NAME=VALUE", help="a value for vars (JSON or text)"
        )
        run.add_argument("--payload", default=None, metavar="JSON", help="what the trigger would bring")
        run.add_argument("--topic", default=None, help="the topic of an mqtt trigger")
        run.add_argument("--say", default=None, metavar="SENTENCE", help="the sentence of a chat trigger")
        run.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait for its end")
        dry = verbs.add_parser("dry-run", help="show what each step would do; nothing is done")
        dry.add_argument("name")
        dry.add_argument("--var", action="append", default=[], metavar="NAME=VALUE")
        dry.add_argument("--payload", default=None, metavar="JSON", help="what the trigger would bring")
        dry.add_argument("--topic", default=None, help="the topic of an mqtt trigger")
        dry.add_argument("--say", default=None, metavar="SENTENCE", help="the sentence of a chat trigger")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb'].replace('-', '_')}")(options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _validate(self, options: dict[str, Any]) -> None:
        problems: list[Problem] = []
        warnings: list[Problem] = []
        tasks = 0
        for path in files_of(options["paths"]):
            try:
                loaded = load_file(path, here=options["here"])
                tasks += len(loaded)
                warnings += [warning for task in loaded for warning in task.warnings]
            except TaskFileError as error:
                problems += list(error.problems)
        if options["as_json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "valid": not problems,
                        "problems": [p.to_json() for p in problems],
                        "warnings": [w.to_json() for w in warnings],
                    }
                )
            )
        for problem in problems if not options["as_json"] else []:
            self.stdout.write(str(problem))
        for warning in warnings if not options["as_json"] else []:
            self.stdout.write(f"warning: {warning}")
        if problems:
            raise CommandError(f"{len(problems)} problem(s)")
        if not options["as_json"]:
            self.stdout.write(f"{tasks} task(s), no problems.")

    def _apply(self, options: dict[str, Any]) -> None:
        failed = 0
        for path in files_of(options["paths"]):
            try:
                text = read_file(path)
                for applied in apply_text(text, str(path), CONSOLE, datetime.now(UTC)):
                    self.stdout.write(f"{applied.name}: {applied.change.value}, version {applied.version}")
                    for warning in applied.warnings:
                        self.stderr.write(f"warning: {warning}")
            except TaskFileError as error:
                failed += 1
                for problem in error.problems:
                    self.stderr.write(str(problem))
        if failed:
            raise CommandError(f"{failed} file(s) refused; they changed nothing")

    def _list(self, options: dict[str, Any]) -> None:
        rows: list[dict[str, Any]] = [
            {
                "name": task.name,
                "enabled": task.enabled,
                "version": task.current.number if task.current else 0,
                "triggers": [
                    {
                        "id": t.trigger,
                        "kind": t.kind,
                        "next_due": t.next_due.isoformat() if t.next_due else None,
                    }
                    for t in task.triggers.all()
                ],
            }
            for task in Task.objects.select_related("current").prefetch_related("triggers")
        ]
        if options["as_json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            kinds = ", ".join(t["kind"] for t in row["triggers"])
            self.stdout.write(
                f"{row['name']:<30} v{row['version']:<4} {'on ' if row['enabled'] else 'off'}  {kinds}"
            )

    def _run(self, options: dict[str, Any]) -> None:
        definition, now = current_definition(options["name"]), datetime.now(UTC)
        inputs = inputs_of(options, definition)
        if missing := lacking(definition, inputs, now):
            give = ["--payload JSON"] if "payload" in missing else []
            give += ["--topic TOPIC"] if set(missing) - {"payload"} else []
            raise CommandError(
                f"{options['name']} needs {', '.join(missing)}, which its trigger would bring, and would fail "
                f"without: give {' and '.join(give)}"
            )
        run_id = start_task(options["name"], CONSOLE, now, inputs=inputs)
        self.stdout.write(str(run_id))
        if options["wait"]:
            self._await(run_id, options["wait"])

    def _await(self, run_id: UUID, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = get(run_id)
            if RunState(run.state) in FINAL or run.waiting_for in STOPS:
                break
            time.sleep(0.1)
        self.stdout.write(f"{run.state} {run.waiting_for} {run.reason}".strip())
        if run.state != RunState.SUCCEEDED:
            sys.exit(1)

    def _dry_run(self, options: dict[str, Any]) -> None:
        definition = current_definition(options["name"])
        inputs = inputs_of(options, definition)
        for line in preview(definition, inputs, datetime.now(UTC)):
            self.stdout.write(line)


def files_of(paths: list[Path]) -> Iterator[Path]:
    """The task files among ``paths``, folders searched. Raises CommandError where there is none."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES)
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"{path} does not exist")


def read_file(path: Path) -> str:
    """The text of a file; one that is too long is not read whole. Raises CommandError."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
        return data.decode()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: byte {error.start} is not UTF-8 text") from error


def load_file(path: Path, *, here: bool = False) -> list[LoadedTask]:
    """``here``: against this box, which needs its database. Raises TaskFileError, CommandError."""
    return load_here(read_file(path), str(path), BOX) if here else load_text(read_file(path), str(path))


def current_definition(name: str) -> TaskDefinition:
    """Raises TaskNotFound, CommandError."""
    task = find(name)
    if task.current is None:
        raise CommandError(f"the task {name} has no version yet")
    return definition_of(task.current)


def inputs_of(options: dict[str, Any], definition: TaskDefinition) -> dict[str, Any]:
    """What a run is to start with, as ``--var``, ``--payload``, ``--topic`` and ``--say`` say."""
    inputs: dict[str, Any] = {"vars": variables(options["var"])}
    if options["payload"] is not None:
        inputs["payload"] = value_of(options["payload"])
    if options["say"] is not None:
        inputs |= said_to(definition, options["say"])
    if options["topic"] is not None:
        inputs |= {"topic": options["topic"], "captures": captures_of(definition, options["topic"])}
    return inputs


def variables(pairs: list[str]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise CommandError(f"--var {pair!r}: expected NAME=VALUE")
        found[name] = value_of(value)
    return found


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
