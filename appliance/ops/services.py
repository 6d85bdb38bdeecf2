"""The doctor's last look at the box, kept so that every page can say what stands."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.db import connection

from appliance.accounts.domain import Ability
from appliance.accounts.principal import BOX, Principal
from appliance.lib.config import get_config
from appliance.lib.doctor import Outcome, Patient, Severity
from appliance.lib.masking import KNOWN
from appliance.ops.doctor import Finding, examine
from appliance.ops.errors import LookedJustNow
from appliance.ops.models import Examination

REST = timedelta(seconds=10)
"""Between two looks."""

# Of two who look at once the later look stays, whichever of them ends first.
_KEEP = """
INSERT INTO ops_examination (id, at, by, serious, findings) VALUES (1, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    at = excluded.at, by = excluded.by, serious = excluded.serious, findings = excluded.findings
WHERE ops_examination.at <= excluded.at
"""


def look(by: Principal, now: datetime, ask: Callable[[Patient], list[Finding]] = examine) -> None:
    """Ask every check and keep the answers, masked. Takes seconds where a part is away: never inside a transaction.

    Raises NotAllowed, LookedJustNow.
    """
    by.require(Ability.EXAMINE)
    with _alone(), connection.cursor() as cursor:
        newest = last()
        if newest is not None and timedelta() <= now - newest.at < REST:
            raise LookedJustNow()
        found = ask(Patient(get_config(), now))
        serious = sum(is_serious(one) for one in found)
        rows = json.dumps([KNOWN.object(one.to_json()) for one in found])
        cursor.execute(_KEEP, [now, by.name, serious, rows])


@contextmanager
def _alone() -> Iterator[None]:
    """Whoever comes while somebody looks is refused: the lock is the session's, as a look is no transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('ops.look'))")
        if cursor.fetchone() != (True,):
            raise LookedJustNow()
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('ops.look'))")


def look_by_itself(now: datetime) -> None:
    """The hourly look; where somebody has had it look just now, that was it."""
    with suppress(LookedJustNow):
        look(BOX, now)


def is_serious(finding: Finding) -> bool:
    """Others can get in, or the box does not work."""
    return finding.found.outcome is Outcome.PROBLEM and finding.check.severity is Severity.HIGH


def last() -> Examination | None:
    """The last look; None where nobody has looked yet."""
    return Examination.objects.first()


def count_serious() -> int:
    """Serious problems of the last look; 0 where nobody has looked yet."""
    return Examination.objects.values_list("serious", flat=True).first() or 0
