"""Runs that start each other by way of events on MQTT: another box's event carries how long its chain is.

What this box says itself never comes this far (see `appliance.processes.own_topics`).
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from appliance.bus.ports import Message
from appliance.tasks.matching import Fired, Refused

log = logging.getLogger(__name__)

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
