"""Trying a policy on actions that nobody performs: the cases of a file, and whether anybody could still act."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from appliance.accounts.domain import Role
from appliance.lib.glob import Glob, sample
from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy.case_model import Case
from appliance.safety.policy.decision import LayerPolicy, Policy
from appliance.safety.policy.facts import Classify, Facts, Static
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.origins import word_of
from appliance.safety.policy.verdict import DEFAULT, PolicyVerdict
from appliance.safety.policy.vocabulary import INSIDE, Answer, Day, Origin

PERSON = "user:admin"
BY_HAND = (Origin.MANUAL,)
_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case; ``wrong`` is empty where it did as expected."""

    place: int
    name: str
    verdict: PolicyVerdict
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """An action that nobody performs."""

    static: Static
    facts: Facts

    @property
    def said(self) -> str:
        what = self.facts.topic or self.facts.device or ""
        words = f"{self.static.kind} {what}".strip()
        return f"{words} by {self.static.principal} ({self.facts.role}), {self.facts.at:%a %H:%M} UTC"


def run_cases(file: PolicyFile, classify: Classify) -> list[Outcome]:
    """Each case of the file, on this file alone."""
    policy = Policy([LayerPolicy(file, 0)])
    return [_outcome(place, case, policy, classify) for place, case in enumerate(file.cases)]


def _outcome(place: int, case: Case, policy: Policy, classify: Classify) -> Outcome:
    trial = trial_of(case, classify)
    verdict = policy.plain(trial.static, trial.facts)
    by = "the default" if verdict.rule == DEFAULT else f"the rule {verdict.rule}"
    wrong = ""
    if verdict.answer is not case.expect:
        wrong = f"expected {case.expect}, but {by} says {verdict.answer}"
    elif case.rule is not None and verdict.rule != case.rule:
        wrong = f"expected the rule {case.rule} to decide, but {by} does"
    return Outcome(place, case.name, verdict, wrong)


def trial_of(case: Case, classify: Classify) -> Trial:
    """The action of a case."""
    action = case.action
    said = action.command
    if said is not None:
        known = (said.class_, said.programs)
        return make_trial(
            action.kind, action.arguments, action.principal, action.role, action.origin, action.task,
            case.at or _MONDAY, lambda kind, arguments: known,
        )  # fmt: skip
    return make_trial(
        action.kind, action.arguments, action.principal, action.role, action.origin, action.task,
        case.at or _MONDAY, classify,
    )  # fmt: skip


def make_trial(
    kind: str,
    arguments: JsonMapping,
    principal: str,
    role: Role,
    origins: Sequence[str],
    task: str,
    at: datetime,
    classify: Classify,
) -> Trial:
    own, *also = origins
    static = Static(kind, own, task, principal, tuple(also))
    return Trial(static, Facts(kind, arguments, role, at, classify))


# --- whether anybody could still act ----------------------------------------------------------------


def locked_out(policy: Policy, kinds: Sequence[str], classify: Classify) -> Trial | None:
    """None where a person who is admin could do at least one thing that changes the world, at some hour.

    Else one of the actions tried, all of which are denied: the plain ones, and for each rule that does not deny
    the action it speaks of.
    """
    shown: Trial | None = None
    for trial in _tries(policy, kinds, classify):
        if policy.decide(trial.static, trial.facts).answer is not Answer.DENY:
            return None
        shown = shown or trial
    return shown


_PLAIN: dict[str, JsonObject] = {
    "shell": {"args": ["systemctl", "restart", "x"]},
    "mqtt": {"topic": "plant/x/cmd", "payload": "on", "qos": 1, "retain": False},
    "http": {"url": "https://example.com/", "method": "POST"},
    "notification": {"platform": "webchat", "message": "x"},
}


def _tries(policy: Policy, kinds: Sequence[str], classify: Classify) -> Iterator[Trial]:
    for hour in range(24 * 7):
        at = _MONDAY + timedelta(hours=hour)
        for kind in dict.fromkeys((*_PLAIN, *kinds)):
            if kind not in INSIDE:
                arguments = _PLAIN.get(kind, {})
                yield make_trial(kind, arguments, PERSON, Role.ADMIN, BY_HAND, "x", at, classify)
    for layer in policy.layers:
        for rule in layer.file.rules:
            if rule.decide is not Answer.DENY:
                yield from witnesses(rule, kinds)


def witnesses(rule: Rule, kinds: Sequence[str]) -> Iterator[Trial]:
    """Actions of an admin, started by hand, that ``rule`` speaks of; none where it speaks of others."""
    if (rule.origin and Origin.MANUAL not in rule.origin) or rule.role not in (None, Role.ADMIN):
        return
    principal = _person(rule.principal)
    if principal is None:
        return
    topic, arguments = rule.topic, dict[str, JsonValue]()
    for path, patterns in (rule.arguments or {}).items():
        _put(arguments, path.split("."), sample(patterns[0]))
    if topic:
        arguments["topic"] = topic[0].replace("+", "x").replace("/#", "/x").replace("#", "x")
    if rule.device:
        arguments["device"] = sample(rule.device[0])
    if rule.secret:
        arguments["secrets"] = [sample(rule.secret[0])]
    said = _command_of(rule)
    wanted = ("mqtt",) if topic else rule.kinds or tuple(dict.fromkeys((*_PLAIN, *kinds)))
    for kind in wanted:
        yield make_trial(
            sample(kind),
            arguments,
            principal,
            Role.ADMIN,
            word_of(principal),
            sample(rule.task[0]) if rule.task else "x",
            _moment_in(rule),
            lambda kind, arguments: said,
        )


def _person(patterns: Sequence[str] | None) -> str | None:
    """Somebody whom the patterns name and who sits at a page or at the command line."""
    if patterns is None:
        return PERSON
    for text in patterns:
        for one in (PERSON, "console", "token:admin/x", sample(text)):
            if one.startswith(("user:", "token:", "console")) and Glob(text).matches(one):
                return one
    return None


def _command_of(rule: Rule) -> tuple[CommandClass, tuple[str, ...]]:
    wanted = rule.command
    if wanted is None:
        return CommandClass.UNKNOWN, ()
    programs = (sample(wanted.program[0]),) if wanted.program else ()
    return (wanted.class_ or (CommandClass.CHANGE,))[0], programs


def _moment_in(rule: Rule) -> datetime:
    """A moment inside the rule's hours."""
    if rule.time is None:
        return _MONDAY
    day = list(Day).index(rule.time.days[0])
    local = datetime.combine(_MONDAY.date() + timedelta(days=day), rule.time.begin, ZoneInfo(rule.time.zone))
    return local.astimezone(UTC)


def _put(arguments: dict[str, JsonValue], path: list[str], value: str) -> None:
    *above, last = path
    here = arguments
    for name in above:
        below = here.setdefault(name, {})
        if not isinstance(below, dict):
            return
        here = below
    here[last] = value
