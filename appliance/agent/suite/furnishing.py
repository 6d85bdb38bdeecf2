"""From a situation to the rows of a scratch box: what its plant says, what runs it had, which devices it knows."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.actions.registry import registry
from appliance.agent.suite.problem import SHOP, History, Problem
from appliance.agent.suite.world import as_said
from appliance.bus.ports import Message
from appliance.bus.services import remember
from appliance.bus.values import TopicValue, read_payload
from appliance.devices.models import Device, Presence
from appliance.devices.readings.domain import Wanted
from appliance.devices.readings.recorder import Recorder
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.safety.policy.services import apply
from appliance.safety.secrets import set_secret
from appliance.tasks.services import apply_text

PERSON = "shift-lead"
"""Who is asked on the stand."""
TASK = "suite"
OPEN = "policy: 1\nname: suite\nlayer: box\ndefault: allow\n"

Pool = AsyncConnectionPool[AsyncConnection[Any]]


async def say(pool: Pool, values: JsonObject, now: datetime) -> None:
    """Topics say this from now on."""
    said = [TopicValue(topic, as_said(value).encode(), now) for topic, value in sorted(values.items())]
    async with pool.connection() as connection, connection.transaction():
        await remember(connection, said)


async def went(pool: Pool, history: Mapping[str, History], clock: Clock) -> None:
    """Values went so, up to now."""
    recorder = Recorder(pool, clock)
    recorder.want(Wanted(topic) for topic in history)
    now = clock.now()
    for topic, how in history.items():
        apart = how.last / (len(how.values) + 1)
        for number, value in enumerate(how.values, 1):
            payload = str(value).encode()
            recorder.take(
                Message(topic, payload, 1, False, False, 0, now - how.last + apart * number),
                read_payload(payload),
            )
    await recorder.flush()


def furnish(problem: Problem, shop_address: str, now: datetime) -> None:
    """What Django keeps."""
    situation = problem.situation
    User.objects.get_or_create(username=PERSON, defaults={"role": "engineer"})
    apply(situation.policy or OPEN, "suite.yaml", BOX, now, kinds=registry())
    for name, state in situation.devices.items():
        _device(name, state, now)
    if situation.tasks:
        apply_text(situation.tasks, "plant.yaml", BOX, now)
    if situation.tables:
        set_secret(SHOP, shop_address, BOX, now)


def _device(name: str, state: str, now: datetime) -> None:
    """Its rows alone: the stand's broker knows no accounts."""
    Device.objects.create(name=name, username=name, password_hash="", created_at=now, created_by=BOX.name)
    seen = now - (timedelta(hours=2) if state == "offline" else timedelta())
    Presence.objects.create(name=name, state=state, since=seen, last_seen=seen, connected=state == "online")


def own_task(problem: Problem, exact: Callable[[Any], Any]) -> str:
    """The task whose one step is the agent, as JSON, which is YAML."""
    step: dict[str, Any] = {
        "id": "think",
        "type": "agent",
        "goal": exact(problem.goal),
        "tools": exact([one if isinstance(one, str) else dict(one) for one in problem.tools]),
        "mode": problem.mode.value,
        "trust": list(problem.trust),
        "budget": {"steps": 24, "tokens": 120_000, "time": "20m"},
    }
    return json.dumps([{"name": TASK, "trigger": "manual", "actions": [step]}], ensure_ascii=False)
