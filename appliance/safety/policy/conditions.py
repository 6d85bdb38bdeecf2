"""The conditions of a rule, ready to test. Where a value is a list, the reading is the strict one.

A rule that allows needs every member of the list to fit; one that asks or denies needs one member.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from appliance.lib.glob import Glob, matcher
from appliance.lib.topic_filters import covers as topic_covers
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.model import CommandIs, Rule, TimeIs
from appliance.safety.policy.vocabulary import Answer, Day

S = TypeVar("S")
Test = Callable[[S], bool]


@dataclass(frozen=True, slots=True)
class Condition(Generic[S]):
    """``key`` names it in the file, ``wanted`` is what the rule says, ``seen`` what an action has there."""

    key: str
    wanted: str
    test: Test[S]
    seen: Callable[[S], str]


def static_conditions(rule: Rule) -> tuple[Condition[Static], ...]:
    """Those that the task alone decides."""
    found: list[Condition[Static]] = []
    if rule.kinds:
        kinds = any_of(rule.kinds)
        found.append(Condition("kinds", _words(rule.kinds), lambda s: kinds(s.kind), lambda s: s.kind))
    if rule.origin:
        origins = frozenset(rule.origin)
        found.append(
            Condition("origin", _words(rule.origin), lambda s: s.origin in origins, lambda s: s.origin)
        )
    if rule.task:
        tasks = any_of(rule.task)
        found.append(Condition("task", _words(rule.task), lambda s: tasks(s.task), lambda s: s.task))
    if rule.principal:
        who = any_of(rule.principal)
        found.append(
            Condition("principal", _words(rule.principal), lambda s: who(s.principal), lambda s: s.principal)
        )
    return tuple(found)


def dynamic_conditions(rule: Rule) -> tuple[Condition[Facts], ...]:
    """Those that need the action itself; the cheap ones first."""
    found: list[Condition[Facts]] = []
    if rule.role:
        rank = rule.role.rank
        found.append(
            Condition("role", f"at most {rule.role}", lambda f: f.role.rank <= rank, lambda f: f.role.value)
        )
    if rule.topic:
        found.append(_topic(rule.topic))
    if rule.device:
        devices = any_of(rule.device)
        found.append(
            Condition(
                "device",
                _words(rule.device),
                lambda f: f.device is not None and devices(f.device),
                lambda f: f.device or "none",
            )
        )
    every = rule.decide is Answer.ALLOW
    if rule.secret:
        found.append(_secret(rule.secret, every=every))
    for path, patterns in (rule.arguments or {}).items():
        found.append(_argument(path, patterns, every=every))
    if rule.time:
        found.append(_time(rule.time))
    if rule.command:
        found += _command(rule.command, every=every)
    return tuple(found)


def any_of(patterns: Sequence[str]) -> Test[str]:
    """Whether a text fits one of the patterns."""
    literal = frozenset(text for text in patterns if Glob(text).literal)
    globs = tuple(matcher(text) for text in patterns if text not in literal)
    if not globs:
        return literal.__contains__
    if not literal and len(globs) == 1:
        return globs[0]
    return lambda text: text in literal or any(fits(text) for fits in globs)


def _some(texts: Sequence[str], fits: Test[str]) -> bool:
    for text in texts:  # noqa: SIM110 - a generator costs more than the test
        if fits(text):
            return True
    return False


def _every(texts: Sequence[str], fits: Test[str]) -> bool:
    return bool(texts) and all(fits(text) for text in texts)


def _words(values: Sequence[str]) -> str:
    return ", ".join(values)


def _topic(filters: Sequence[str]) -> Condition[Facts]:
    exact = frozenset(one for one in filters if "+" not in one and "#" not in one)
    wild = tuple(one for one in filters if one not in exact)

    def test(facts: Facts) -> bool:
        topic = facts.topic
        if topic is None:
            return False
        return topic in exact or any(topic_covers(one, topic) for one in wild)

    return Condition("topic", _words(filters), test, lambda f: f.topic or "none")


def _argument(path: str, patterns: Sequence[str], *, every: bool) -> Condition[Facts]:
    names, fits = tuple(path.split(".")), any_of(patterns)
    quantifier = _every if every else _some

    def test(facts: Facts) -> bool:
        return quantifier(facts.texts(names), fits)

    def seen(facts: Facts) -> str:
        return _words(facts.texts(names)) or "nothing"

    return Condition(f"arguments.{path}", _words(patterns), test, seen)


def _secret(patterns: Sequence[str], *, every: bool) -> Condition[Facts]:
    fits, quantifier = any_of(patterns), _every if every else _some
    return Condition(
        "secret",
        _words(patterns),
        lambda f: quantifier(f.secrets, fits),
        lambda f: _words(f.secrets) or "none",
    )


def time_of(wanted: TimeIs) -> Callable[[datetime], bool]:
    """Whether a moment, which has a zone, is among these hours."""
    zone, begin, end = ZoneInfo(wanted.zone), wanted.begin, wanted.end
    days = frozenset(list(Day).index(day) for day in wanted.days)
    overnight = end is not None and end < begin

    def test(at: datetime) -> bool:
        local = at.astimezone(zone)
        clock, day = local.time(), local.weekday()
        if overnight:
            assert end is not None
            return (clock >= begin and day in days) or (clock < end and (day - 1) % 7 in days)
        return day in days and clock >= begin and (end is None or clock < end)

    return test


def _time(wanted: TimeIs) -> Condition[Facts]:
    zone, test = ZoneInfo(wanted.zone), time_of(wanted)
    said = f"{_words(wanted.days)} {wanted.from_} to {wanted.to} {wanted.zone}"
    return Condition(
        "time", said, lambda f: test(f.at), lambda f: f"{f.at.astimezone(zone):%a %H:%M}".lower()
    )


def _command(wanted: CommandIs, *, every: bool) -> list[Condition[Facts]]:
    found: list[Condition[Facts]] = []
    if wanted.class_:
        classes = frozenset(wanted.class_)

        def in_class(facts: Facts) -> bool:
            command = facts.command
            return command is not None and command[0] in classes

        found.append(
            Condition(
                "command.class",
                _words(wanted.class_),
                in_class,
                lambda f: f.command[0] if f.command else "none",
            )
        )
    if wanted.program:
        runs = _allowed(wanted, wanted.program) if every else _running(wanted.program)
        found.append(Condition("command.program", _words(wanted.program), runs, _programs))
    return found


def _allowed(wanted: CommandIs, programs: Sequence[str]) -> Test[Facts]:
    """Every program fits. Of a command that is not understood the programs are not all that it does.

    A rule that names classes has chosen among them itself.
    """
    fits, any_class = any_of(programs), wanted.class_ is not None

    def test(facts: Facts) -> bool:
        kind, names = facts.command or (CommandClass.UNKNOWN, ())
        return (any_class or kind is not CommandClass.UNKNOWN) and _every(names, fits)

    return test


def _running(programs: Sequence[str]) -> Test[Facts]:
    """One program fits, or the command is not understood: then it may run any."""
    fits = any_of(programs)

    def test(facts: Facts) -> bool:
        command = facts.command
        return command is not None and (command[0] is CommandClass.UNKNOWN or _some(command[1], fits))

    return test


def _programs(facts: Facts) -> str:
    if not facts.command:
        return "none"
    kind, names = facts.command
    if kind is not CommandClass.UNKNOWN:
        return _words(names)
    return f"{_words(names)} (not understood)" if names else "not understood"
