"""Two workers on the real ledger whose every effect can be held or ended: what the model moves."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from appliance.lib.clock import Moment
from appliance.processes.parts import DefinitionCache
from appliance.runs.domain import Lease, RunState, Waiting
from appliance.runs.ledger import Ledger
from appliance.runs.performer import PROOF_HOLDS, Performer
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost
from appliance.runs.services import insert_run
from appliance.safety.gate import Gate
from appliance.sandbox.ports import Job, Outcome
from appliance.tasks.firing import fire_due
from appliance.tasks.models import TaskTrigger
from tests.integration.runs.conftest import Engine, outcome
from tests.integration.runs.model.fates import Died, Fate, Stalled, StallingPerformer

TASK = """
- name: t
  misfire: skip
  triggers: [{id: hand, manual: true}, {id: clock, every: 60s}]
  actions:
    - {id: a, type: shell, effect: idempotent, args: [/bin/act, "{{ run.id }}", a]}
    - {id: b, type: shell, effect: unsafe, args: [/bin/act, "{{ run.id }}", b]}
    - {id: pause, type: wait, duration: 60s}
    - {id: c, type: shell, effect: unsafe, args: [/bin/act, "{{ run.id }}", c]}
"""


@dataclass
class ModelHouse:
    """Performs runs with the product's own performer; commands are counted instead of run."""

    engine: Engine
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of these: by a worker that stood still between its last look at its lease and the effect."""
    unannounced: list[tuple[str, str]] = field(default_factory=list)
    stalled: list[Stalled] = field(default_factory=list)
    _fate: tuple[Fate, str] = (Fate.GOES_ON, "")
    _held: asyncio.Event | None = None
    _stale: bool = False

    def __post_init__(self) -> None:
        self.began = self.engine.clock.now()
        self.ledgers = [self._new_ledger(0), self._new_ledger(1)]
        self.engine.world.run_confined = self._act  # type: ignore[method-assign]  # the world is ours to play

    def _new_ledger(self, worker: int) -> Ledger:
        self.engine.lives += 1
        return Ledger(self.engine.pool, f"worker-{worker}/life-{self.engine.lives}")

    async def _act(self, job: Job, on_output: Callable[[str, bytes], None] | None) -> Outcome:
        _, run_id, step = job.argv
        fate, at = self._fate
        if step != at:
            fate = Fate.GOES_ON
        if fate is Fate.DIES_BEFORE:
            raise Died
        if fate is Fate.STALLS_BEFORE:
            await self._hold()
        await self._count(run_id, step)
        if fate is Fate.DIES_AFTER:
            raise Died
        if fate is Fate.STALLS_AFTER:
            await self._hold()
        return outcome(1 if fate is Fate.FAILS else 0)

    def _performer(self, ledger: Ledger) -> Performer:
        engine = self.engine
        parts = (ledger, Gate(engine.home), engine.world, engine.clock, DefinitionCache().get)
        return StallingPerformer(*parts, before_acting=self._stall_unproven)

    async def _stall_unproven(self, step: str) -> None:
        if self._fate == (Fate.STALLS_UNPROVEN, step):
            await self._hold()

    async def _hold(self) -> None:
        self._held = event = asyncio.Event()
        await event.wait()

    async def _count(self, run_id: str, step: str) -> None:
        self.effects[run_id, step] += 1
        self.late[run_id, step] += self._stale
        found = await self.engine.sql(
            "SELECT 1 FROM audit_record a JOIN runs_step s ON s.run_id = %s AND s.step = %s "
            "WHERE a.kind = 'step.intent' AND a.subject = %s",
            *(run_id, step, f"{run_id}/{step}"),
        )
        if not found:
            self.unannounced.append((run_id, step))

    async def work(self, worker: int, run_id: UUID, fate: Fate = Fate.GOES_ON, at: str = "") -> bool:
        """Claim the run and perform it until it ends or waits, or meets its fate at the step ``at``.

        False where it is not to be had.
        """
        ledger, asked = self.ledgers[worker], Moment.of(self.engine.clock)
        row = await ledger.claim(run_id)
        if row is None:
            return False
        lease = Lease(row.id, ledger.owner, row.epoch, asked)
        performer = self._performer(ledger)
        self._fate = (fate, at)
        work = asyncio.create_task(_quietly(performer.perform(row, lease)))
        await self._until_quiet(work, lambda go_on: Stalled(worker, row, lease, work, go_on, fate))
        self._fate = (Fate.GOES_ON, "")
        return True

    async def wake(self, stalled: Stalled) -> bool:
        """Let it go on; whether it still held its lease to the end of what it did."""
        self.engine.clock.advance(timedelta(seconds=PROOF_HOLDS + 1))
        self._stale = not await self._holds(stalled)
        self.stalled.remove(stalled)
        stalled.go_on.set()
        try:
            await self._until_quiet(
                stalled.work,
                lambda go_on: replace(stalled, go_on=go_on),
            )
        except LeaseLost:
            return False
        finally:
            self._stale = False
        return True

    async def _until_quiet(
        self, work: "asyncio.Task[None]", stall: Callable[[asyncio.Event], Stalled]
    ) -> None:
        while not work.done():
            if self._held is not None:
                self.stalled.append(stall(self._held))
                self._held = None
                return
            await asyncio.wait([work], timeout=0.005)
        self._held = None
        work.result()

    async def renew(self, worker: int) -> None:
        """The worker's heartbeat: what it lost or what a person cancelled is ended, as the executor does it."""
        ledger = self.ledgers[worker]
        mine = [one for one in self.stalled if one.worker == worker and one.lease.owner == ledger.owner]
        still = await ledger.renew([one.lease for one in mine]) if mine else {}
        for one in mine:
            known = still.get(one.lease.run_id) if await self._holds(one) else None
            if known is False:
                continue
            self.stalled.remove(one)
            one.work.cancel()
            await asyncio.wait([one.work])
            if known:
                await self._performer(ledger).cancelled(one.row, one.lease)

    async def _holds(self, one: Stalled) -> bool:
        row = await self.engine.run(one.lease.run_id)
        return (row["state"], row["epoch"]) == ("running", one.lease.epoch)

    async def still_has_a_say(self, lease: Lease) -> list[str]:
        """What a worker may still do with a lease that it lost; to ask does it."""
        ledger, could = Ledger(self.engine.pool, lease.owner), []
        if await ledger.renew([lease]):
            could.append("renew")
        for state in (RunState.WAITING, RunState.CANCELLED):
            with suppress(LeaseLost):
                await ledger.release(lease, "t", Release(state, waiting_for=Waiting.ALL_STOP))
                could.append(state)
        return could

    async def replace(self, worker: int) -> None:
        """The worker is started anew; its old life may still stand somewhere, and wake."""
        dead = self.ledgers[worker].owner
        self.ledgers[worker] = self._new_ledger(worker)
        await self.engine.reconciler.recover(dead_owners=[dead])

    async def let_time_pass(self) -> None:
        self.engine.clock.advance(timedelta(seconds=61))
        await self.engine.sql(
            "UPDATE runs_run SET wake_at = now() - interval '1 second' WHERE state = 'waiting' AND wake_at <= %s",
            self.engine.clock.now(),
        )

    async def look_at_the_schedule(self) -> list[UUID]:
        """Beat, or its stand-in after a restart, looks at what is due."""
        return list(await self.do(self._fire))

    async def forget_the_last_look(self) -> None:
        """The trigger's own memory is an old one, as after a restore."""
        await self.engine.sql(
            "UPDATE tasks_tasktrigger SET last_due = %s WHERE trigger = 'clock'", self.began
        )

    def _fire(self) -> list[UUID]:
        trigger = TaskTrigger.objects.get(trigger="clock", task__name="t")
        return fire_due(trigger.task_id, trigger.trigger, self.engine.clock.now(), insert_run)

    async def do(self, service: Callable[..., Any], *arguments: Any) -> Any:
        return await sync_to_async(service)(*arguments)


async def _quietly(work: Awaitable[None]) -> None:
    """A dead process says nothing."""
    try:
        await work
    except Died:
        pass
