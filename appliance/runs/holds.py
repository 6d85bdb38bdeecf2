"""Triggers that do not fire at once: a condition that must hold (``for``), a burst that must end (``debounce``).

What a batch of events amounts to is written in the transaction that acknowledges it, so a crash loses no hold.
Each set of the topic's captures is a hold of its own. ``due_at`` is wall time of the database's clock, which
``clock_steps`` moves along when that is set; one that it does not know of lasts one more length at most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.lib.digest import canonical_json, sha256_hex
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object, plain_text
from appliance.runs import holds_sql
from appliance.runs.asking import Ask, Asking
from appliance.tasks.matching import Armed, Fired, Refused, TriggerTable

MOST_HOLDS = 1000
"""Holds of one trigger at the same time; a topic beyond them is refused with a trace."""

AT_ONCE = 200
_LONGEST_KEY = 200

Identity = tuple[int, str, str]


@dataclass(slots=True)
class Change:
    """What a batch means for one hold: whether a no came, and the yes that came after the last no."""

    armed: Armed
    ended: bool = False
    latest: Fired | None = None
    events: int = 0


@dataclass(slots=True)
class Noted:
    """What people should see of it beside each no: refusals are counted and traced, notes are only traced."""

    refused: list[Refused] = field(default_factory=list)
    notes: list[Refused] = field(default_factory=list)


def waits(decision: Fired | Refused) -> bool:
    """Whether this decision concerns a hold. An event that could not be judged neither begins nor ends one."""
    if isinstance(decision, Refused):
        return decision.armed.trigger.for_ is not None and not decision.failed
    return decision.armed.trigger.waits is not None


def changes(decisions: Iterable[Fired | Refused]) -> dict[Identity, Change]:
    """Pure: the net of these decisions, in the order in which they were made."""
    found: dict[Identity, Change] = {}
    for decision in decisions:
        armed = decision.armed
        captures = decision.captures if isinstance(decision, Refused) else decision.inputs.get("captures")
        key = key_of(captures if isinstance(captures, dict) else {})
        change = found.setdefault((armed.task_id, armed.trigger.id, key), Change(armed))
        if isinstance(decision, Refused):
            change.ended, change.latest, change.events = True, None, 0
        else:
            change.latest, change.events = decision, change.events + 1
    return dict(sorted(found.items()))


def key_of(captures: JsonObject) -> str:
    """``pump=3, line=a`` as people read it; the digest of what is longer than a row's key."""
    text = ", ".join(f"{name}={captures[name]}" for name in sorted(captures))
    return text if len(text) <= _LONGEST_KEY else sha256_hex(canonical_json(captures))


def take(decisions: Sequence[Fired | Refused]) -> Asking[Noted]:
    """Write what these decisions mean for the holds, in the transaction that acknowledges their events."""
    noted = Noted()
    net = changes(decisions)
    ended = [identity for identity, change in net.items() if change.ended]
    if ended:
        for task_id, trigger, key, fired, held in (yield Ask(holds_sql.END, _identities(ended))):
            if not fired:
                armed = net[task_id, trigger, key].armed
                reason = f"the hold of {key or trigger} ended after {_seconds(held)}: when said no"
                noted.notes.append(Refused(armed, reason, {}))
    begun = {identity: change for identity, change in net.items() if change.latest is not None}
    if begun:
        rows = yield Ask(holds_sql.BEGIN_OR_GO_ON, _beginnings(begun))
        written = {(row[0], row[1], row[2]): row[3:] for row in rows}
        for identity, change in begun.items():
            _note(noted, identity, change, written.get(identity))
    return noted


def _note(noted: Noted, identity: Identity, change: Change, written: Any) -> None:
    assert change.latest is not None
    event = plain_object(change.latest.inputs)
    if written is None:
        reason = f"{MOST_HOLDS} holds of this trigger are open already"
        noted.refused.append(Refused(change.armed, reason, event, failed=True))
        return
    since, due_at, events = written
    if events == change.events:  # it began with this batch
        word = "waiting for quiet" if change.armed.trigger.debounce else "holding"
        what = f" {identity[2]}" if identity[2] else ""
        reason = f"{word}{what} since {since:%H:%M:%S}, fires at {due_at:%F %H:%M:%S} UTC"
        noted.notes.append(Refused(change.armed, reason, event))


def _seconds(length: timedelta) -> str:
    return format_duration(timedelta(seconds=max(0, round(length.total_seconds()))))


def _identities(identities: Sequence[Identity]) -> dict[str, Any]:
    return {
        "tasks": [one[0] for one in identities],
        "triggers": [one[1] for one in identities],
        "keys": [one[2] for one in identities],
    }


def _beginnings(begun: dict[Identity, Change]) -> dict[str, Any]:
    latest = [change.latest for change in begun.values() if change.latest is not None]
    triggers = [one.armed.trigger for one in latest]
    return {
        **_identities(list(begun)),
        "debounces": [trigger.debounce is not None for trigger in triggers],
        "lengths": [trigger.waits for trigger in triggers],
        "events": [change.events for change in begun.values()],
        "inputs": [Jsonb(plain_object(one.inputs)) for one in latest],
        "reasons": [plain_text(one.reason)[:400] for one in latest],
        "most": MOST_HOLDS,
    }


async def any_due(connection: AsyncConnection[Any]) -> bool:
    """Whether ``due`` has anything to do."""
    row = await (await connection.execute(holds_sql.ANY_DUE)).fetchone()
    return bool(row and row[0])


async def due(connection: AsyncConnection[Any], table: TriggerTable) -> list[Fired]:
    """Take every hold whose time has come, in the caller's transaction: it fires there, or stays due.

    A hold whose trigger this table does not know waits for the next table.
    """
    await connection.execute(holds_sql.BEGIN_AGAIN)
    cursor = await connection.execute(holds_sql.DUE, {"limit": AT_ONCE})
    fired, ids = [], []
    for number, task_id, trigger, inputs, reason, since, events, debounce in await cursor.fetchall():
        armed = table.find(task_id, trigger)
        if armed is None or armed.trigger.waits is None:
            continue
        length = format_duration(armed.trigger.waits)
        said = f"quiet for {length} after {events} event(s)" if debounce else f"held for {length}"
        more = {"events": events} if debounce else {"held_since": since.isoformat()}
        event = inputs.get("event")
        known = event if isinstance(event, dict) else {}
        fired.append(Fired(armed, {**inputs, "event": {**known, **more}}, f"{reason}, {said}"))
        ids.append(number)
    if ids:
        await connection.execute(holds_sql.FIRED, {"ids": ids})
        await connection.execute(holds_sql.QUIET, {"ids": ids})
    return fired


async def forget(pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
    """Drop the rows of topics that fell silent and of triggers that are gone."""
    async with pool.connection() as connection:
        await connection.execute(holds_sql.FORGET)
