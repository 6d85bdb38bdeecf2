"""Runs that start each other by way of events on MQTT: another box's event carries how long its chain is.

What this box says itself never comes this far (see `appliance.processes.own_topics`).
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.ports import Message
from appliance.lib.jsontypes import JsonValue
from appliance.tasks.matching import Fired, Refused

log = logging.getLogger(__name__)

_CHAIN = "SELECT inputs -> 'chain' FROM runs_run WHERE id = %s::uuid"
_EVENT = re.compile(r"(?:^|/)millwright/[^/]+/events/[^/]+$")


def chained(found: Sequence[Fired | Refused], message: Message, longest: int) -> list[Fired | Refused]:
    """The decisions on a message, with the length of the chain that it ends; cut where that is too long."""
    if not found or "millwright/" not in message.topic or not _EVENT.search(message.topic):
        return list(found)
    chain = _length(message.payload)
    return [_longer(one, chain, longest) for one in found]


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


async def chain_of(connection: AsyncConnection[Any], run_id: JsonValue) -> int:
    """How many runs started each other before the one that this event tells of."""
    if not isinstance(run_id, str):
        return 0
    cursor = await connection.execute(_CHAIN, (run_id,))
    row = await cursor.fetchone()
    return row[0] if row and isinstance(row[0], int) else 0
