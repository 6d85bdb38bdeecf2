"""``task`` triggers: the end of a run starts other tasks, once for that run and that end."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.lib.identity import time_of, uuid_at
from appliance.tasks.matching import Fired, Refused

_KNOWN = "SELECT id FROM tasks_occurrence WHERE id = ANY(%s)"


def identity_of(fired: Fired) -> UUID | None:
    """The occurrence's identifier, computed from what happened; None where the event says no such thing.

    It begins with the time of the run that ended, so that the same end is found again whenever it is told.
    """
    event = fired.inputs.get("event")
    if fired.armed.trigger.task is None or not isinstance(event, dict):
        return None
    ended = UUID(str(event["run_id"]))
    task, trigger = fired.armed.definition.name, fired.armed.trigger.id
    return uuid_at(time_of(ended), "task-trigger", task, trigger, str(ended), str(event["type"]))


async def only_new(
    connection: AsyncConnection[Any], decisions: Sequence[Fired | Refused]
) -> list[Fired | Refused]:
    """Without those whose occurrence is there already, or told twice: a run that is undone may end a second time.

    The caller holds the follower's position, so that nobody else writes such an occurrence meanwhile.
    """
    identities = {
        index: identity
        for index, one in enumerate(decisions)
        if isinstance(one, Fired) and (identity := identity_of(one)) is not None
    }
    if not identities:
        return list(decisions)
    cursor = await connection.execute(_KNOWN, (list(identities.values()),))
    known = {row[0] for row in await cursor.fetchall()}
    new: list[Fired | Refused] = []
    for index, one in enumerate(decisions):
        identity = identities.get(index)
        if identity is None or identity not in known:
            new.append(one)
            known.add(identity)
    return new
