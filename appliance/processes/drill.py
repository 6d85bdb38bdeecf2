"""A drill of the all-stop on the living box: something harmless is made to happen, stopped, and timed.

What is timed is what people would see: the last effect after the order, and when the last command was dead. It goes on
the audit record with the name of who drilled, and is shown with its date.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from appliance.accounts.domain import Ability
from appliance.accounts.principal import BOX, Principal
from appliance.audit.models import AuditRecord
from appliance.audit.services import append_here
from appliance.lib.errors import MillwrightError
from appliance.runs import services as runs
from appliance.runs.models import Run
from appliance.safety import allstop
from appliance.safety.stop import Level
from appliance.tasks.services import apply_text, set_enabled

KIND = "allstop.drill"
"""Of its audit record."""
BAR_MS = 1000.0
LONGEST = 20.0
"""Seconds for each wait."""
LOOK = 0.01
RUNS = 12

EFFECTS, SANDBOX = "allstop-drill-effects", "allstop-drill-command"
TASKS = f"""
- name: {EFFECTS}
  description: Made by the drill of the all-stop. It publishes to a topic that nobody needs.
  trigger: manual
  actions:
{
    "".join(
        f'''    - {{id: s{number}, type: mqtt, topic: allstop-drill/effect, payload: "{number}"}}
'''
        for number in range(40)
    )
}
- name: {SANDBOX}
  description: Made by the drill of the all-stop. It sleeps in a sandbox until it is killed.
  trigger: manual
  actions:
    - {{id: sleep, type: shell, args: [/bin/sleep, "60"], effect: idempotent}}
"""


class DrillRefused(MillwrightError):
    """Now is no time for a drill, or it did not get as far as the stop."""

    code = "allstop.drill_refused"
    permanent = False


@dataclass(frozen=True, slots=True)
class Drill:
    """What came of it. Times are from the order to stop, in ms; ``effects`` came before the order."""

    level: str
    effects: int
    last_effect_ms: float
    sandbox_ms: float
    met: bool
    by: str = ""
    at: datetime | None = None


def drill(by: Principal, now: Callable[[], datetime], *, anyway: bool = False) -> Drill:
    """Raises DrillRefused, NotAllowed, ReadOnlyNow. Whatever happens, the stop is released again."""
    by.require(Ability.RELEASE_STOP)
    _refuse_bad_moment(anyway=anyway)
    apply_text(TASKS, "drill", BOX, now())
    sleeping = _start(SANDBOX, by, now)
    busy = [_start(EFFECTS, by, now)]
    try:
        _wait(lambda: _acted([sleeping], "intent") == 1, "the command did not begin")
        busy += [_start(EFFECTS, by, now) for _ in range(RUNS)]
        _wait(lambda: _acted(busy, "succeeded") > 0, "no effect happened")
        before, began = _acted(busy, "succeeded"), time.monotonic()
        ordered = now()
        allstop.engage(Level.KILL, "a drill", by, ordered)
        _wait(lambda: _state(sleeping) != "running", "the command was not killed")
        killed = time.monotonic() - began
        _wait(lambda: all(_state(run) not in ("running", "queued") for run in busy), "effects went on")
        last = _last_effect(busy)
    finally:
        if allstop.current().engaged:
            allstop.release("the drill is over", by, now())
        _tidy([sleeping, *busy], by, now)
    late = max(0.0, (last - ordered).total_seconds() * 1000) if last else 0.0
    found = Drill(
        "kill", before, round(late, 1), round(killed * 1000, 1), late <= BAR_MS and killed * 1000 <= BAR_MS
    )
    append_here(KIND, by.name, "allstop", {k: v for k, v in asdict(found).items() if k not in ("by", "at")})
    return found


def last_drill() -> Drill | None:
    """The newest one on record."""
    row = AuditRecord.objects.filter(kind=KIND).order_by("-seq").first()
    if row is None:
        return None
    detail: dict[str, Any] = json.loads(row.body)["detail"]
    return Drill(**detail, by=row.principal, at=row.at)


def _refuse_bad_moment(*, anyway: bool) -> None:
    if allstop.current().engaged:
        raise DrillRefused("the box is stopped: there is nothing to drill", hint="release the stop first")
    active = Run.whole.filter(state="running").count()
    if active and not anyway:
        raise DrillRefused(
            f"{active} run(s) are under way, and would be stopped too",
            hint="come again when the box is quiet, or say --anyway",
        )


def _start(name: str, by: Principal, now: Callable[[], datetime]) -> UUID:
    return runs.start_task(name, by, now(), reason="drill of the all-stop")


def _acted(run_ids: list[UUID], state: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM runs_step WHERE run_id = ANY(%s) AND state = %s", [run_ids, state]
        )
        return int(cursor.fetchone()[0])


def _last_effect(run_ids: list[UUID]) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(finished_at) FROM runs_step WHERE run_id = ANY(%s) AND kind = 'mqtt' AND state = 'succeeded'",
            [run_ids],
        )
        found: datetime | None = cursor.fetchone()[0]
        return found


def _state(run_id: UUID) -> str:
    return str(Run.whole.values_list("state", flat=True).get(pk=run_id))


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    give_up = time.monotonic() + LONGEST
    while not holds():
        if time.monotonic() > give_up:
            raise DrillRefused(
                f"{otherwise} within {LONGEST:g} s", hint="manage.py doctor says what is wrong"
            )
        time.sleep(LOOK)


def _tidy(run_ids: list[UUID], by: Principal, now: Callable[[], datetime]) -> None:
    for run_id in run_ids:
        try:
            runs.cancel(run_id, by)
        except runs.NotNow:
            continue  # it is over
    for name in (EFFECTS, SANDBOX):
        set_enabled(name, False, BOX, now())


def clock() -> datetime:
    return datetime.now(UTC)
