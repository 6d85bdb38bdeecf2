"""From the text of a policy file to a policy, or to everything that is wrong with it, each with its place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from appliance.lib.digest import sha256_hex
from appliance.lib.glob import Glob
from appliance.lib.located.issues import Issue, issues_of, suggestion, suggestion_or_list
from appliance.lib.located.report import Report
from appliance.lib.located.yaml_reader import read_yaml
from appliance.safety.commands.domain import SCRIPTED
from appliance.safety.policy.decision import BUILT_IN, LayerPolicy, Policy
from appliance.safety.policy.errors import PolicyRefused
from appliance.safety.policy.facts import Classify
from appliance.safety.policy.matching import never_met
from appliance.safety.policy.model import WORDS, PolicyFile
from appliance.safety.policy.subsume import takes_all
from appliance.safety.policy.trying import Outcome, locked_out, run_cases
from appliance.safety.policy.verdict import DEFAULT
from appliance.safety.policy.vocabulary import INSIDE, Layer
from appliance.safety.understood import classify as classify_command

MOST_UNREACHABLE = 20


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A file without problems, and what came of its cases."""

    file: PolicyFile
    text: str
    digest: str
    outcomes: tuple[Outcome, ...] = ()


def load_policy(
    text: str,
    filename: str,
    *,
    kinds: Collection[str] = (),
    classify: Classify = classify_command,
    beside: Sequence[LayerPolicy] = (),
) -> LoadedPolicy:
    """The policy of a file. Raises PolicyRefused with all problems found; nothing is changed.

    ``kinds`` are the kinds of action that exist (none given: any name is taken). ``beside`` are the layers in
    force that it would stand beside: together they must leave somebody able to act.
    """
    report = Report(text, filename, read_yaml(text))
    file = _parse(report)
    outcomes: list[Outcome] = []
    if file is not None:
        _check_names(file, report, kinds)
        for path, issue in never_met(file):
            report.add(path, issue)
    if file is not None and not report.problems:
        _check_reach(file, report)
        outcomes = run_cases(file, classify)
        for outcome in outcomes:
            if outcome.wrong:
                report.add(("cases", outcome.place), Issue((), f"case {outcome.name!r}: {outcome.wrong}"))
        _check_lock_out(file, report, kinds, classify, beside)
    if file is None or report.problems:
        raise PolicyRefused(report.in_order())
    return LoadedPolicy(file, text, digest_of(text), tuple(outcomes))


def digest_of(text: str) -> str:
    return sha256_hex(text.encode())


def read_again(text: str) -> PolicyFile:
    """A text that was checked when it was applied. Raises PolicyRefused where it does not parse."""
    report = Report(text, "policy", read_yaml(text))
    file = _parse(report)
    if file is None:
        raise PolicyRefused(report.in_order())
    return file


def _parse(report: Report) -> PolicyFile | None:
    value = report.document.value
    if report.problems and value is None:
        return None
    if not isinstance(value, dict):
        said = "the file is empty" if value is None else "this does not fit"
        report.add((), Issue((), said, expected="a policy: a mapping with policy, name, layer and rules"))
        return None
    try:
        file = PolicyFile.model_validate(value)
    except ValidationError as error:
        for issue in issues_of(error, PolicyFile, (), patterns=WORDS):
            report.add((), issue)
        return None
    return None if report.problems else file


def _check_names(file: PolicyFile, report: Report, kinds: Collection[str]) -> None:
    """Names of rules are unique, kinds exist, and what cases name is there."""
    places: dict[str, int] = {}
    for place, rule in enumerate(file.rules):
        if rule.id == DEFAULT:
            report.add(("rules", place, "id"), Issue((), f"`{DEFAULT}` names the answer without a rule"))
        elif rule.id in places:
            report.add(("rules", place, "id"), Issue((), f"a second rule `{rule.id}` in this file"))
        places.setdefault(rule.id, place)
        if rule.kinds and set(rule.kinds) <= INSIDE:
            said = f"the policy is never asked about {', '.join(rule.kinds)}: nothing outside the run changes"
            report.add(("rules", place, "kinds"), Issue((), said))
        for at, kind in enumerate(rule.kinds or ()):
            if kinds and not any(Glob(kind).matches(one) for one in kinds):
                hint = suggestion_or_list(kind, kinds)
                report.add(("rules", place, "kinds", at), Issue((), f"there is no kind `{kind}`", hint=hint))
    _check_twice(file, report)
    timed = any(rule.time for rule in file.rules)
    for place, case in enumerate(file.cases):
        if case.rule is not None and case.rule != DEFAULT and case.rule not in places:
            hint = suggestion(case.rule, places)
            report.add(("cases", place, "rule"), Issue((), f"there is no rule `{case.rule}`", hint=hint))
        if kinds and case.action.kind not in kinds:
            hint = suggestion_or_list(case.action.kind, kinds)
            where = ("cases", place, "action", "kind")
            report.add(where, Issue((), f"there is no kind `{case.action.kind}`", hint=hint))
        if timed and case.at is None:
            said = "`at` is missing: a rule of this file looks at the time"
            report.add(("cases", place), Issue((), said, expected="a moment, as 2026-03-02T07:30Z"))
        if case.action.command is not None and case.action.kind not in SCRIPTED:
            where = ("cases", place, "action", "command")
            report.add(where, Issue((), f"{case.action.kind} has no command", at_key=True))


def _check_twice(file: PolicyFile, report: Report) -> None:
    ids = {"plant": [rule.id for rule in file.plant], "budgets": [rule.id for rule in file.budgets]}
    for section, names in ids.items():
        for place, name in enumerate(names):
            if name in names[:place]:
                report.add((section, place, "id"), Issue((), f"a second `{name}` in {section}"))


def _check_reach(file: PolicyFile, report: Report) -> None:
    """A rule that an earlier one leaves nothing to is a mistake of its author."""
    found = 0
    for place, later in enumerate(file.rules):
        taker = next((one for one in file.rules[:place] if takes_all(one, later)), None)
        if taker is None:
            continue
        found += 1
        same = " and decides the same" if taker.decide is later.decide else ""
        said = f"the rule `{later.id}` can never decide: `{taker.id}` above it takes all its cases{same}"
        report.add(("rules", place, "id"), Issue((), said, hint="move it up, narrow the other, or remove it"))
        if found >= MOST_UNREACHABLE:
            return


def _check_lock_out(
    file: PolicyFile,
    report: Report,
    kinds: Collection[str],
    classify: Classify,
    beside: Sequence[LayerPolicy],
) -> None:
    others = [layer for layer in beside if layer.layer is not file.layer]
    if file.layer is not Layer.BOX and not any(layer.layer is Layer.BOX for layer in others):
        others.append(BUILT_IN)
    shown = locked_out(Policy([*others, LayerPolicy(file, 0)]), sorted(kinds), classify)
    if shown is not None:
        said = f"nobody could act any more: even this is denied: {shown.said}"
        hint = "let a rule allow an admin something that changes the world"
        report.add(("default",) if not file.rules else ("rules",), Issue((), said, hint=hint, at_key=True))
