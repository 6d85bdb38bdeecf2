"""Runs that start each other by way of events on MQTT: another box's event carries how long its chain is.

What this box says itself never comes this far (see `appliance.processes.own_topics`).
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.ports import Message
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.origins import KEY, handed, handed_on, of_undo
from appliance.safety.policy.vocabulary import Origin
from appliance.tasks.matching import Fired, Refused

log = logging.getLogger(__name__)

_LED = "SELECT inputs -> 'chain', origin, inputs -> 'origins', undo_by FROM runs_run WHERE id = %s::uuid"
_EVENT = re.compile(r"(?:^|/)millwright/[^/]+/events/[^/]+$")


def chained(found: Sequence[Fired | Refused], message: Message, longest: int) -> list[Fired | Refused]:
    """The decisions on a message, with the length of the chain that it ends; cut where that is too long."""
    if not found or "millwright/" not in message.topic or not _EVENT.search(message.topic):
        return list(found)
    length = _length(message.payload)
    return [_longer(one, length, longest) for one in found]


def _longer(decision: Fired | Refused, chain: int, longest: int) -> Fired | Refused:
    if isinstance(decision, Refused):
        return decision
    if chain >= longest:
        said = f"a chain of {chain} runs that start each other by events is cut"
        log.warning("task %s: %s", decision.armed.definition.name, said)
        return Refused(decision.armed, said, {"topic": decision.inputs.get("topic")}, failed=True)
    event = decision.inputs.get("event")
    marked = {**(event if isinstance(event, dict) else {}), "chain": chain}
    return replace(decision, inputs={**decision.inputs, "event": marked})


def _length(payload: bytes) -> int:
    try:
        body = json.loads(payload)
    except ValueError:
        return 0
    chain = body.get("chain") if isinstance(body, dict) else None
    return max(0, chain) if isinstance(chain, int) else 0


@dataclass(frozen=True, slots=True)
class Led:
    """What led to an event: how many runs started each other before it, and the origins of those runs."""

    chain: int = 0
    origins: tuple[str, ...] = ()


async def led_to(connection: AsyncConnection[Any], run_id: JsonValue) -> Led:
    """What the run that an event tells of hands down to what the event starts."""
    if not isinstance(run_id, str) or not run_id:
        return Led()
    cursor = await connection.execute(_LED, (run_id,))
    row = await cursor.fetchone()
    if row is None:
        return Led(0, tuple(Origin))  # whatever it was
    before = handed({KEY: row[2]} if row[2] is not None else {})
    origins = (*handed_on(row[1], before), *of_undo(row[3]))
    return Led(row[0] if isinstance(row[0], int) else 0, origins)


def handing_down(found: Sequence[Fired | Refused], led: Led) -> list[Fired | Refused]:
    """The decisions on an event, with the origins that their runs are judged by besides their own."""
    if not led.origins:
        return list(found)
    more: JsonObject = {KEY: [*led.origins]}
    return [replace(one, inputs={**one.inputs, **more}) if isinstance(one, Fired) else one for one in found]
