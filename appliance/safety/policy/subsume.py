"""Whether an earlier rule takes every case of a later one, told from the two alone. Never wrongly yes."""

from collections.abc import Callable, Sequence

from appliance.accounts.domain import Role
from appliance.lib.glob import covers as glob_covers
from appliance.lib.topic_filters import covers as topic_covers
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy.model import Rule, TimeIs
from appliance.safety.policy.vocabulary import Answer, Day


def takes_all(earlier: Rule, later: Rule) -> bool:
    """Whether every action that ``later`` matches is matched by ``earlier``."""
    return (
        _texts(earlier.kinds, later.kinds)
        and _within(earlier.origin, later.origin)
        and _texts(earlier.task, later.task)
        and _texts(earlier.principal, later.principal)
        and _present(earlier.device, later.device, glob_covers)
        and _present(earlier.topic, later.topic, topic_covers)
        and _secrets(earlier, later)
        and _role(earlier.role, later.role)
        and _arguments(earlier, later)
        and _command(earlier, later)
        and _time(earlier.time, later.time)
    )


Covers = Callable[[str, str], bool]


def _texts(earlier: Sequence[str] | None, later: Sequence[str] | None) -> bool:
    """For what every action has: its kind, its task, its principal."""
    return earlier is None or _present(earlier, later or ("*",), glob_covers)


def _present(earlier: Sequence[str] | None, later: Sequence[str] | None, covers: Covers) -> bool:
    """For what only some actions have: a rule that names it never takes those without it."""
    if earlier is None:
        return True
    return later is not None and all(any(covers(wide, one) for wide in earlier) for one in later)


def _role(earlier: Role | None, later: Role | None) -> bool:
    return earlier in (None, Role.ADMIN) or (
        earlier is not None and later is not None and earlier.covers(later)
    )


def _within(earlier: Sequence[str] | None, later: Sequence[str] | None) -> bool:
    return earlier is None or (later is not None and set(later) <= set(earlier))


def _reads_alike(earlier: Rule, later: Rule) -> bool:
    """Of a list, a rule that allows needs every member and others one: one does not imply every."""
    return earlier.decide is not Answer.ALLOW or later.decide is Answer.ALLOW


def _arguments(earlier: Rule, later: Rule) -> bool:
    if not earlier.arguments:
        return True
    mine = later.arguments or {}
    return _reads_alike(earlier, later) and all(
        _present(patterns, mine.get(path), glob_covers) for path, patterns in earlier.arguments.items()
    )


def _secrets(earlier: Rule, later: Rule) -> bool:
    return earlier.secret is None or (
        _reads_alike(earlier, later) and _present(earlier.secret, later.secret, glob_covers)
    )


def _command(earlier: Rule, later: Rule) -> bool:
    mine, theirs = earlier.command, later.command
    if mine is None:
        return True
    if theirs is None or not _within(mine.class_, theirs.class_):
        return False
    if mine.program is None:
        return True
    if (
        earlier.decide is Answer.ALLOW
        and mine.class_ is None
        and CommandClass.UNKNOWN in (theirs.class_ or ())
    ):
        return False  # a rule that allows programs takes nothing that is not understood
    return _reads_alike(earlier, later) and _present(mine.program, theirs.program, glob_covers)


def _time(earlier: TimeIs | None, later: TimeIs | None) -> bool:
    if earlier is None:
        return True
    if later is None:
        return set(earlier.days) == set(Day) and (earlier.from_, earlier.to) == ("00:00", "24:00")
    if earlier.zone != later.zone or not set(later.days) <= set(earlier.days):
        return False
    if _overnight(earlier) != _overnight(later):
        return False
    return earlier.from_ <= later.from_ and later.to <= earlier.to


def _overnight(time: TimeIs) -> bool:
    return time.to < time.from_
