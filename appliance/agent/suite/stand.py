"""A stand: an agent's problem set up in the rows of a scratch box, gone through on the real engine, and looked at.

The engine (ledger, gate, approvals, executor, growth) is the product's own. What a step reaches is a twin in memory
(``world``), a web server of the stand's own and a database of the stand's own: no broker, no command, no chat.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.agent.suite.furnishing import PERSON, TASK, Pool, furnish, own_task, say, went
from appliance.agent.suite.looking import seen_of
from appliance.agent.suite.playing import Player
from appliance.agent.suite.problem import RUN, WEB, Problem, Turn
from appliance.agent.suite.seen import Seen
from appliance.agent.suite.shop import Shop
from appliance.agent.suite.web import Web, served
from appliance.agent.suite.world import Answering, World
from appliance.lib.clock import Clock, SystemClock
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.runs import approvals, services
from appliance.runs.executor import Executor
from appliance.runs.ledger import Ledger
from appliance.runs.performer import Performer
from appliance.runs.receipts import Receipts
from appliance.runs.reconciler import Reconciler
from appliance.runs.shards.keeper import ShardKeeper
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word
from appliance.safety.gate import Gate
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import apply_text, definition_of

LONGEST = 1500.0
"""Seconds for one problem."""
_LOOK_EVERY = 0.1
_UNFINISHED = "SELECT id, state, waiting_for, wake_at FROM runs_run WHERE finished_at IS NULL ORDER BY id"
_TO_TELL = (
    "SELECT run_id, step_id FROM outbox_item WHERE run_id IS NOT NULL AND state = 'pending' AND NOT told"
)
_TOLD = "UPDATE outbox_item SET told = true WHERE run_id = %s AND step_id = %s"
_LAST_RUN = """
SELECT r.id FROM runs_run r JOIN tasks_task t ON t.id = r.task_id WHERE t.name = %s ORDER BY r.id DESC LIMIT 1
"""


@dataclass
class Stand:
    """On the empty database of a scratch box. ``model``: who answers; without one the problem's own script does."""

    pool: Pool
    home: Path
    shop: Shop
    clock: Clock
    model: Answering | None = None

    async def go_through(self, problem: Problem, turns: Sequence[Turn] | None = None) -> Seen:
        """``turns``: another script than the problem's own."""
        with served(problem.situation.pages) as web:
            return await _Going(self, problem, web).through(turns or problem.script)


class _Going:
    def __init__(self, stand: Stand, problem: Problem, web: Web) -> None:
        self._stand, self._problem, self._web = stand, problem, web
        self._pool, self._clock = stand.pool, stand.clock
        self._runs: dict[str, UUID] = {}
        self._world = World(problem.situation, self._clock, self._nobody, self._say)
        self._gate = Gate(stand.home, clock=self._clock)

    async def through(self, turns: Sequence[Turn]) -> Seen:
        began = time.monotonic()
        await self._furnish()
        self._world.answering = self._stand.model or Player(turns, self._exact)
        # What the plant's own tasks did before is none of the agent's doing.
        self._world.published.clear()
        self._world.commands.clear()
        self._web.asked.clear()
        told = await self._sql("SELECT id FROM outbox_item")
        run_id = await self._begin(TASK)
        await self._until_it_rests(run_id)
        return await seen_of(
            self._pool, run_id, self._world, self._web, [row["id"] for row in told], time.monotonic() - began
        )

    async def _furnish(self) -> None:
        situation, now = self._problem.situation, self._clock.now()
        if situation.tables:
            await in_django(self._stand.shop.furnish, situation.tables)
        await in_django(furnish, self._problem, self._stand.shop.address, now)
        await self._say(situation.topics)
        await went(self._pool, situation.history, self._clock)
        for task in situation.ran:
            self._runs[task] = await self._begin(task)
            await self._until_it_rests(self._runs[task])
        own = own_task(self._problem, self._exact)
        await in_django(apply_text, own, "suite.yaml", BOX, now)

    async def _begin(self, task: str) -> UUID:
        return await in_django(services.start_task, task, BOX, self._clock.now())

    async def _until_it_rests(self, run_id: UUID) -> None:
        """Runs are worked on, messages delivered and people asked, until this run is at its end, or waits for nothing
        that will come."""
        deadline = time.monotonic() + LONGEST
        keeper, reconciler = ShardKeeper(self._pool), Reconciler(self._pool, self._clock)
        while time.monotonic() < deadline:
            await reconciler.wake_due()
            rows = await self._sql(_UNFINISHED)
            if run_id not in {row["id"] for row in rows}:
                return
            await self._work([row["id"] for row in rows if row["state"] == "queued"])
            moved = bool(await keeper.look()) | await self._deliver() | await self._ask_people()
            rows = await self._sql(_UNFINISHED)
            if moved or any(row["state"] in ("queued", "running") for row in rows):
                continue
            if not _comes_back(rows):
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def _work(self, runs: Sequence[UUID]) -> None:
        """A worker comes, does what is queued, and goes."""
        ledger = Ledger(self._pool, "suite-0/one")
        performer = Performer(ledger, self._gate, self._world, self._clock, _definition)
        worker = Executor(ledger, performer, self._clock)
        for run in runs:
            worker.attend(run)
        await worker.drain(LONGEST)

    async def _deliver(self) -> bool:
        """Every platform takes every message at once."""
        rows, receipts = await self._sql(_TO_TELL), Receipts(self._pool)
        for row in rows:
            await self._sql(_TOLD, row["run_id"], row["step_id"])
            await receipts.delivered(row["run_id"], row["step_id"], {"suite": True})
        return bool(rows)

    async def _ask_people(self) -> bool:
        person = self._problem.person
        if person.says == "nothing":
            return False
        return await in_django(_decide_all, person.says, person.but, person.reason, self._clock)

    async def _say(self, values: JsonObject) -> None:
        await say(self._pool, values, self._clock.now())

    def _exact(self, value: Any) -> Any:
        """The value with what only this stand knows."""
        if isinstance(value, str):
            if value.startswith(RUN):
                return str(self._runs.get(value.removeprefix(RUN), value))
            return value.replace(WEB, self._web.url)
        if isinstance(value, dict):
            return {key: self._exact(one) for key, one in value.items()}
        return [self._exact(one) for one in value] if isinstance(value, list | tuple) else value

    async def _sql(self, text: str, *values: Any) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(text.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def _nobody(self, question: Any, wish: Any) -> Any:
        raise RuntimeError("the plant's own tasks ask no model")


def _comes_back(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether any run goes on by itself: what waits for a person, or for a plant that does not change, does not."""
    return any(
        row["waiting_for"] in ("retry", "timer", "network") and row["wake_at"] for row in rows
    ) and not any(row["waiting_for"] in ("approval", "plant_state", "ambiguous", "all_stop") for row in rows)


async def _definition(version: int) -> Any:
    return await in_django(lambda: definition_of(TaskVersion.objects.get(pk=version)))


def _decide_all(says: str, but: str, reason: str, clock: Clock) -> bool:
    open_ones = list(Approval.objects.filter(state="open").order_by("id"))
    by = User.objects.get(username=PERSON).principal
    for row in open_ones:
        opposite = bool(but) and but in row.shown
        choice = Choice.APPROVE if (says == "approve") is not opposite else Choice.DENY
        approvals.decide(str(row.pk), Word(choice, by, Way.WEB, clock.now(), reason=reason))
    return bool(open_ones)


def new_stand(pool: Pool, home: Path, shop: Shop, model: Answering | None = None) -> Stand:
    return Stand(pool, home, shop, SystemClock(), model)
