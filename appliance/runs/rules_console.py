"""``manage.py audit rules`` and ``audit alerts``: alert rules and alerts at the console."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.accounts.principal import CONSOLE
from appliance.alerts import services
from appliance.alerts.errors import RulesRefused
from appliance.alerts.loading import SHIPPED, load_rules
from appliance.alerts.models import Alert
from appliance.lib.jsontypes import JsonObject
from appliance.runs.management.commands.tasks import files_of, read_file


def add_rules(parser: ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="rules", required=True)
    test = verbs.add_parser("test", help="check files and run their cases; needs no running service")
    test.add_argument("paths", nargs="+", type=Path, metavar="FILE")
    apply = verbs.add_parser("apply", help="put a file in force")
    apply.add_argument("path", type=Path, metavar="FILE")
    show = verbs.add_parser("show", help="the text in force, or of a version")
    show.add_argument("--number", type=int, metavar="N", help="of this version; 0: as the box came")
    history = verbs.add_parser("history", help="who applied what when")
    back = verbs.add_parser("rollback", help="put an earlier version in force again")
    back.add_argument("number", type=int, metavar="N")
    for verb in (test, apply, show, history, back):
        verb.add_argument("--json", action="store_true", dest="as_json")


def perform(options: dict[str, Any]) -> tuple[str, bool]:
    """What to say, and whether all is well. Raises RulesRefused and what the services raise."""
    match options["rules"]:
        case "test":
            return _test(options["paths"], as_json=options["as_json"])
        case "apply":
            path, now = options["path"], datetime.now(UTC)
            applied = services.apply(read_file(path), str(path), CONSOLE, now)
        case "rollback":
            applied = services.rollback(options["number"], CONSOLE, datetime.now(UTC))
        case "history":
            return _history(as_json=options["as_json"]), True
        case _:
            return _show(options["number"]), True
    number, changed = applied.version.number, applied.changed
    if options["as_json"]:
        return json.dumps({"version": number, "changed": changed}), True
    return (
        f"Version {number} of the alert rules {'is' if changed else 'was'} in force{'' if changed else ' already'}.",
        True,
    )


def _test(paths: list[Path], *, as_json: bool) -> tuple[str, bool]:
    problems: list[JsonObject] = []
    cases: list[JsonObject] = []
    said: list[str] = []
    for path in files_of(paths):
        try:
            loaded = load_rules(read_file(path), str(path))
        except RulesRefused as error:
            problems += [problem.to_json() for problem in error.problems]
            said += [str(problem) for problem in error.problems]
            continue
        said.append(f"{path}: {len(loaded.file.rules)} rule(s), {len(loaded.cases)} case(s), no problems")
        for name, alerted in loaded.cases:
            cases.append({"file": str(path), "case": name, "alerts": list(alerted)})
            said.append(f"  ok  {name}: {', '.join(alerted) or 'no alert'}")
    if as_json:
        return json.dumps({"valid": not problems, "problems": problems, "cases": cases}), not problems
    return "\n".join(said), not problems


def _show(number: int | None) -> str:
    standing = services.version(number) if number else services.current()
    return SHIPPED.read_text() if standing is None or number == 0 else standing.text


def _history(*, as_json: bool) -> str:
    rows = services.history()
    newest = rows[0].number if rows else 0
    if as_json:
        told: list[JsonObject] = [
            {
                "version": one.number,
                "name": one.name,
                "author": one.author,
                "created_at": one.created_at.isoformat(),
                "in_force": one.number == newest,
            }
            for one in rows
        ]
        return json.dumps(told)
    lines = [
        f"{'*' if one.number == newest else ' '} v{one.number:<4} {one.created_at:%Y-%m-%d %H:%M}  "
        f"{one.author:<24} {one.name}"
        for one in rows
    ]
    return "\n".join(lines or ["Nobody has applied alert rules yet: those that the box came with count."])


def alerts_text(options: dict[str, Any]) -> str:
    rows = services.alerts(options["before"], options["limit"], options["rule"])
    if options["as_json"]:
        return json.dumps([alert_json(one) for one in rows])
    lines = [
        f"{one.pk:>6}  {one.opened_at:%Y-%m-%d %H:%M:%S}  {one.severity:<8} {one.rule:<22} {one.count:>6}x  "
        f"{one.kind} by {one.principal} {one.subject}"
        for one in rows
    ]
    return "\n".join(lines or ["No alert."])


def alert_json(one: Alert) -> JsonObject:
    """An alert as commands and the API give it."""
    return {
        "id": one.pk,
        "rule": one.rule,
        "version": one.version,
        "severity": one.severity,
        "reason": one.reason,
        "kind": one.kind,
        "principal": one.principal,
        "subject": one.subject,
        "first_seq": one.first_seq,
        "last_seq": one.last_seq,
        "count": one.count,
        "messages": one.messages,
        "opened_at": one.opened_at.isoformat(),
        "last_at": one.last_at.isoformat(),
        "open": one.due_at is not None,
    }
