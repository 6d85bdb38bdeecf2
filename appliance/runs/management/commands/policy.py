"""``manage.py policy``: test, explain, apply, show, history, rollback."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.runs.management.commands.tasks import files_of, read_file, value_of
from appliance.runs.policy_view import SeenStep, known_kinds, seen_steps
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy import services
from appliance.safety.policy.decision import BUILT_IN, LayerPolicy, Policy
from appliance.safety.policy.errors import PolicyRefused
from appliance.safety.policy.explaining import Explanation, explain
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.loading import load_policy
from appliance.safety.policy.vocabulary import Layer, Origin
from appliance.safety.understood import classify as classify_command


class Command(BaseCommand):
    help = "Check, try, apply and explain the policy: which rule decides what may act."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        test = verbs.add_parser("test", help="check files and run their cases; needs no running service")
        test.add_argument("paths", nargs="+", type=Path, metavar="FILE")
        apply = verbs.add_parser("apply", help="put a file in force for its layer")
        apply.add_argument("path", type=Path, metavar="FILE")
        show = verbs.add_parser("show", help="the text in force, or of a version")
        show.add_argument("--number", type=int, metavar="N", help="of this version")
        history = verbs.add_parser("history", help="who applied what when")
        back = verbs.add_parser("rollback", help="put an earlier version in force again")
        back.add_argument("number", type=int, metavar="N")
        for verb in (show, history, back):
            verb.add_argument("--layer", choices=list(Layer), default=Layer.BOX.value)
        why = verbs.add_parser("explain", help="which rule decides on a step, and which nearly did")
        _add_explain(why)
        for verb in (test, apply, history, why):
            verb.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except PolicyRefused as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            raise CommandError(f"{len(error.problems)} problem(s); nothing was changed") from error
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _test(self, options: dict[str, Any]) -> None:
        problems: list[JsonObject] = []
        cases: list[JsonObject] = []
        said: list[str] = []
        for path in files_of(options["paths"]):
            try:
                loaded = load_policy(read_file(path), str(path), kinds=known_kinds())
            except PolicyRefused as error:
                problems += [problem.to_json() for problem in error.problems]
                said += [str(problem) for problem in error.problems]
                continue
            said.append(
                f"{path}: {len(loaded.file.rules)} rule(s), {len(loaded.outcomes)} case(s), no problems"
            )
            for outcome in loaded.outcomes:
                decision, rule = outcome.verdict.answer.value, outcome.verdict.rule
                cases.append({"file": str(path), "case": outcome.name, "decision": decision, "rule": rule})
                said.append(f"  ok  {outcome.name}: {decision} by {rule}")
        if options["as_json"]:
            said = [json.dumps({"valid": not problems, "problems": problems, "cases": cases})]
        self.stdout.write("\n".join(said))
        if problems:
            raise CommandError(f"{len(problems)} problem(s)")

    def _apply(self, options: dict[str, Any]) -> None:
        text = read_file(options["path"])
        applied = services.apply(text, str(options["path"]), CONSOLE, datetime.now(UTC), kinds=known_kinds())
        self._say_applied(applied, as_json=options["as_json"])

    def _rollback(self, options: dict[str, Any]) -> None:
        layer = Layer(options["layer"])
        back = services.rollback(layer, options["number"], CONSOLE, datetime.now(UTC), kinds=known_kinds())
        self._say_applied(back, as_json=False)

    def _say_applied(self, applied: services.Applied, *, as_json: bool) -> None:
        made = applied.version
        if as_json:
            said = {"layer": made.layer, "version": made.number, "changed": applied.changed}
            self.stdout.write(json.dumps(said))
            return
        state = "is in force" if applied.changed else "was in force already"
        self.stdout.write(f"Version {made.number} of the {made.layer} policy {state}.")

    def _show(self, options: dict[str, Any]) -> None:
        layer, number = Layer(options["layer"]), options["number"]
        found = services.version(layer, number) if number else services.current(layer)
        if found is None:
            raise CommandError(
                f"nobody has applied a {layer} policy yet; what an agent proposes is asked for"
            )
        self.stdout.write(found.text, ending="")

    def _history(self, options: dict[str, Any]) -> None:
        layer = Layer(options["layer"])
        standing = services.current(layer)
        rows = [
            {
                "version": one.number,
                "name": one.name,
                "author": one.author,
                "created_at": one.created_at.isoformat(),
                "in_force": standing is not None and one.pk == standing.pk,
            }
            for one in services.history(layer)
        ]
        if options["as_json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            mark = "*" if row["in_force"] else " "
            self.stdout.write(
                f"{mark} v{row['version']:<4} {str(row['created_at'])[:16]}  {row['author']:<24} {row['name']}"
            )
        if not rows:
            self.stdout.write(f"Nobody has applied a {layer} policy yet.")

    def _explain(self, options: dict[str, Any]) -> None:
        policy = _policy(options["file"])
        found = [(one, explain(policy, one.static, one.facts)) for one in _subjects(options)]
        if not found:
            raise CommandError("the run has no step that the gate decided on yet")
        if options["as_json"]:
            self.stdout.write(json.dumps([_as_json(one, why) for one, why in found]))
            return
        for one, why in found:
            self.stdout.write("\n".join(_lines(one, why)))


def _add_explain(parser: ArgumentParser) -> None:
    parser.add_argument("subject", nargs="?", metavar="RUN[/STEP]", help="a run, or one step of it")
    parser.add_argument("--file", type=Path, help="decide by this file instead of the policy in force")
    parser.add_argument("--kind", help="instead of a run: the kind of an action")
    parser.add_argument(
        "--argument", action="append", default=[], metavar="NAME=VALUE", help="an argument (JSON or text)"
    )
    parser.add_argument("--principal", default="user:somebody")
    parser.add_argument("--role", choices=list(Role), default=Role.OPERATOR.value)
    parser.add_argument(
        "--origin",
        action="append",
        choices=list(Origin),
        help="what started it, `manual` where it is left out; more than once: what led to that",
    )
    parser.add_argument("--task", default="")
    parser.add_argument("--class", choices=list(CommandClass), dest="command_class", help="of the command")
    parser.add_argument("--program", action="append", default=[], help="that the command runs")
    parser.add_argument("--at", type=datetime.fromisoformat, metavar="TIME", help="as 2026-03-02T07:30+01:00")


def _policy(file: Path | None) -> Policy:
    """The policy in force, or that of a file alone: then no service needs to run."""
    if file is None:
        return services.policy_in_force()
    layer = LayerPolicy(load_policy(read_file(file), str(file), kinds=known_kinds()).file, 0)
    return Policy([layer] if layer.layer is Layer.BOX else [BUILT_IN, layer])


def _subjects(options: dict[str, Any]) -> list[SeenStep]:
    if options["subject"]:
        run, _, step = options["subject"].partition("/")
        try:
            return seen_steps(UUID(run), step)
        except ValueError as error:
            raise CommandError(f"{run!r} is not the identifier of a run") from error
    if not options["kind"]:
        raise CommandError("name a run, or an action with --kind", returncode=2)
    return [_said(options)]


def _said(options: dict[str, Any]) -> SeenStep:
    """The action of the command line."""
    arguments: JsonObject = {}
    for pair in options["argument"]:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"--argument {pair!r}: expected NAME=VALUE", returncode=2)
        arguments[name] = value_of(value)
    at = options["at"] or datetime.now(UTC)
    known = (CommandClass(options["command_class"] or "unknown"), tuple(options["program"]))
    told = options["command_class"] or options["program"]
    facts = Facts(
        options["kind"],
        arguments,
        Role(options["role"]),
        at if at.tzinfo else at.replace(tzinfo=UTC),
        (lambda kind, arguments: known) if told else classify_command,
    )
    own, *before = options["origin"] or [Origin.MANUAL.value]
    static = Static(options["kind"], own, options["task"], options["principal"], tuple(before))
    return SeenStep("", static, facts, "")


def _as_json(one: SeenStep, why: Explanation) -> JsonObject:
    return {
        "step": one.step,
        "decided_then": one.decided,
        "decision": why.verdict.answer.value,
        "rule": why.verdict.name,
        "version": why.verdict.version,
        "reason": why.verdict.reason,
        "layers": [
            {
                "layer": layer.verdict.layer.value,
                "origin": layer.origin,
                "decision": layer.verdict.answer.value,
                "rule": layer.verdict.rule,
                "version": layer.verdict.version,
                "near": [str(near) for near in layer.near],
            }
            for layer in why.layers
        ],
    }


def _lines(one: SeenStep, why: Explanation) -> list[str]:
    what = f"{one.step}: {one.static.kind}" if one.step else one.static.kind
    lines = [f"{what} by {one.static.principal} ({one.facts.role}), started by {one.static.origin}"]
    judged = one.static.origins
    if len(judged) > 1:
        lines.append(f"  judged as {', '.join(judged)}: the strictest of their answers counts")
    if one.decided:
        lines.append(f"  decided then: {one.decided}")
    lines.append(
        f"  {why.verdict.answer} by {why.verdict.name}"
        + (f": {why.verdict.reason}" if why.verdict.reason else "")
    )
    for layer in why.layers:
        number = f"version {layer.verdict.version}" if layer.verdict.version else layer.policy
        for_one = f", as {layer.origin}" if len(judged) > 1 else ""
        lines.append(
            f"  {layer.verdict.layer} ({number}){for_one}: {layer.verdict.answer} by {layer.verdict.rule}"
        )
        lines += [f"    nearly: {near}" for near in layer.near]
    return lines
