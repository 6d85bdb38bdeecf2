"""From the text of a file of alert rules to the rules, or to everything that is wrong with it, each with its place."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from appliance.alerts.errors import RulesRefused
from appliance.alerts.evaluating import Entry, Evaluator, entries_of
from appliance.alerts.model import WORDS, AlertsFile, Case
from appliance.lib.digest import sha256_hex
from appliance.lib.located.issues import Issue, issues_of, suggestion, suggestion_or_list
from appliance.lib.located.report import Report
from appliance.lib.located.yaml_reader import read_yaml

SHIPPED = Path(__file__).with_name("shipped.yaml")
_BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """A file without problems; ``cases`` are the names of those that came out as expected."""

    file: AlertsFile
    text: str
    digest: str
    cases: tuple[tuple[str, tuple[str, ...]], ...] = ()


def load_rules(text: str, filename: str, *, platforms: Collection[str] = ()) -> LoadedRules:
    """The rules of a file. Raises RulesRefused with all problems found.

    ``platforms`` are those that the box has (none given: any name is taken).
    """
    report = Report(text, filename, read_yaml(text))
    file = _parse(report)
    cases: list[tuple[str, tuple[str, ...]]] = []
    if file is not None:
        _check_names(file, report)
        _check_receivers(file, report, platforms)
    if file is not None and not report.problems:
        for place, case in enumerate(file.cases):
            found = _tried(file, case)
            cases.append((case.name, found))
            if set(found) != set(case.expect):
                said = f"case {case.name!r}: expected {_listed(case.expect)}, but {_listed(found)} alert"
                report.add(("cases", place, "expect"), Issue((), said))
    if file is None or report.problems:
        raise RulesRefused(report.in_order())
    return LoadedRules(file, text, sha256_hex(text.encode()), tuple(cases))


def shipped() -> LoadedRules:
    """The rules that count until somebody applies others."""
    return load_rules(SHIPPED.read_text(), SHIPPED.name)


def _parse(report: Report) -> AlertsFile | None:
    value = report.document.value
    if report.problems and value is None:
        return None
    if not isinstance(value, dict):
        said = "the file is empty" if value is None else "this does not fit"
        report.add((), Issue((), said, expected="alert rules: a mapping with alerts, name and rules"))
        return None
    try:
        file = AlertsFile.model_validate(value)
    except ValidationError as error:
        for issue in issues_of(error, AlertsFile, (), patterns=WORDS):
            report.add((), issue)
        return None
    return None if report.problems else file


def _check_names(file: AlertsFile, report: Report) -> None:
    known: set[str] = set()
    for place, rule in enumerate(file.rules):
        if rule.id in known:
            report.add(("rules", place, "id"), Issue((), f"a second rule `{rule.id}` in this file"))
        known.add(rule.id)
        if rule.kinds is None and not any(
            (rule.principal, rule.subject, rule.fields, rule.outcome, rule.origin)
        ):
            said = f"the rule `{rule.id}` has no condition: every record would make an alert"
            report.add(("rules", place, "id"), Issue((), said, hint="name kinds, or a principal"))
    for place, case in enumerate(file.cases):
        for at, name in enumerate(case.expect):
            if name not in known:
                issue = Issue((), f"there is no rule `{name}`", hint=suggestion(name, known))
                report.add(("cases", place, "expect", at), issue)


def _check_receivers(file: AlertsFile, report: Report, platforms: Collection[str]) -> None:
    places: list[tuple[tuple[str | int, ...], tuple[str, ...]]] = [(("to",), file.to)]
    for place, rule in enumerate(file.rules):
        places.append((("rules", place, "to"), rule.to or ()))
        for stage, one in enumerate(rule.escalate or ()):
            places.append((("rules", place, "escalate", stage, "to"), one.to))
    for path, receivers in places:
        for receiver in receivers:
            name = receiver.partition("/")[0]
            if platforms and ":" not in name and name not in platforms:
                hint = suggestion_or_list(name, platforms)
                report.add(path, Issue((), f"there is no platform `{name}`", hint=hint))


def _tried(file: AlertsFile, case: Case) -> tuple[str, ...]:
    """The rules that alert on the records of a case."""
    evaluator, at, found = Evaluator(file), _BEGIN, dict[str, None]()
    for record in case.records:
        for _ in range(record.times):
            at += record.after
            entry = Entry(1, at, record.kind, record.principal, record.subject, record.detail)
            for one in entries_of(entry):
                found.update((rule.id, None) for rule in evaluator.take(one))
    return tuple(found)


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
