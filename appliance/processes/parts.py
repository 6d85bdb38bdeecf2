"""What worker and reactor are made of: the composition that only processes may do."""

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.client import BusClient
from appliance.bus.filters import check_not_own
from appliance.inference.asking import Asker, Question, Reply
from appliance.inference.client import KeeperClient
from appliance.inference.errors import KeeperAway
from appliance.inference.hearing import EngineClients
from appliance.inference.leases import Wish
from appliance.lib.config import Config, KernelRulesMode
from appliance.lib.in_django import in_django
from appliance.processes.outgoing import OutgoingBrokers
from appliance.sandbox.docker.client import Where
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.ebpf.watched import Undeclared
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Job, Outcome
from appliance.sandbox.process.client import ProcessSandbox
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import definition_of

TRANSACTION_LIMIT = "15s"
"""After which PostgreSQL ends a transaction of the hot path. A process that stands still in the middle of one (stopped,
or on a machine that was cut off) would hold its locks for ever: the audit's, and those of the very runs that others are
to take over."""
_SINCE_17 = 170000
RESTING = 8
"""Connections to the keeper of models that a process keeps for its next questions."""


async def open_pool(config: Config, *, smallest: int = 2, largest: int = 8) -> AsyncConnectionPool[Any]:
    """The pool of the hot path. It opens even while the database is away, and connects when it is back."""
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        config.database_url,
        min_size=smallest,
        max_size=largest,
        timeout=10,
        reconnect_timeout=3600,
        kwargs={"autocommit": True, "prepare_threshold": 1},
        configure=_configure,
        open=False,
        name="millwright",
    )
    await pool.open()
    return pool


async def _configure(connection: AsyncConnection[Any]) -> None:
    # In a pipeline a transaction never counts as idle. PostgreSQL 16 has no other limit.
    limits = ["idle_in_transaction_session_timeout"]
    if connection.info.server_version >= _SINCE_17:
        limits.append("transaction_timeout")
    for limit in limits:
        await connection.execute(f"SET {limit} = '{TRANSACTION_LIMIT}'")
    # Named SQL asks for rows by their keys, whatever the values: planning it anew over all partitions takes as long as
    # doing it. A plan is made again when a table has been analysed, or a partition has come.
    await connection.execute("SET plan_cache_mode = force_generic_plan")


def owner(slot: str) -> str:
    """Who holds leases: the slot names the process's place, the rest this one life of it."""
    return f"{slot}/{os.getpid()}-{secrets.token_hex(4)}"


class DefinitionCache:
    """Versions are immutable: each is read and compiled once per process."""

    def __init__(self, most: int = 500) -> None:
        self._most = most
        self._known: dict[int, TaskDefinition] = {}
        self._lock = asyncio.Lock()

    async def get(self, version_id: int) -> TaskDefinition:
        known = self._known.get(version_id)
        if known is None:
            async with self._lock:
                known = await in_django(self._load, version_id)
                if len(self._known) >= self._most:
                    self._known.clear()
                self._known[version_id] = known
        return known

    @staticmethod
    def _load(version_id: int) -> TaskDefinition:
        return definition_of(TaskVersion.objects.get(pk=version_id))


class BoxServices:
    """What actions need of their process (appliance.actions.contract.Services), on the box of that id."""

    def __init__(
        self,
        box: str,
        bus: BusClient,
        sandbox: ProcessSandbox,
        brokers: OutgoingBrokers,
        guard: Path | None = None,
        manner: Manner | None = None,
        models: Path | None = None,
    ) -> None:
        self._asker = _asker(models) if models else None
        self._watched = WatchedSandbox(guard, sandbox, manner or Manner()) if guard else None
        self._box = box
        self._bus = bus
        self._sandbox = sandbox
        self._brokers = brokers

    async def close(self) -> None:
        """Let go of what was made ahead for commands, and of what rests between questions."""
        (self._watched or self._sandbox).close()
        if self._asker is not None:
            await self._asker.close()

    async def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float, broker: str = ""
    ) -> None:
        if broker:
            await self._brokers.publish(broker, topic, payload, qos=qos, retain=retain, timeout=timeout)
        else:
            check_not_own(topic, self._box)
            await self._bus.publish(topic, payload, qos=qos, retain=retain, timeout=timeout)

    async def reach(self, broker: str, patience: float) -> bool:
        if broker:
            return await self._brokers.reach(broker, patience)
        return await self._bus.reach(patience)

    async def run_confined(self, job: Job, on_output: Callable[[str, bytes], None] | None) -> Outcome:
        return await (self._watched or self._sandbox).run(job, on_output=on_output)

    async def run_contained(
        self, job: Job, where: Where, on_output: Callable[[str, bytes], None] | None
    ) -> Outcome:
        if self._watched is None:
            raise SandboxUnavailable("This process runs no containers.")
        return await self._watched.run_contained(job, where, on_output)

    async def ask(self, question: Question, wish: Wish, on_text: Callable[[str], None] | None) -> Reply:
        if self._asker is None:
            raise KeeperAway("this process asks no models")
        return await self._asker.ask(question, wish, on_text)


def _asker(models: Path) -> Asker:
    """Everything that a process asks it asks on one loop, so that its connections may rest for the next question."""
    return Asker(KeeperClient(models, resting=RESTING), EngineClients())


def manner_of(config: Config) -> Manner:
    """How this box has commands watched."""
    off = config.kernel_rules is KernelRulesMode.OFF
    return Manner(
        expected=config.home.path.stat().st_uid == 0,
        required=config.kernel_rules is KernelRulesMode.REQUIRED,
        undeclared=Undeclared(config.undeclared_network),
        absent="MILLWRIGHT_KERNEL_RULES is off" if off else "",
    )
