"""The engine on the real database: ledger, gate, outbox and executor are the product's; only the world is played."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.principal import BOX
from appliance.bus.places import place_of
from appliance.inference.asking import Question, Reply
from appliance.inference.errors import KeeperAway
from appliance.inference.leases import Wish
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.config import Config
from appliance.lib.jsontypes import JsonObject
from appliance.processes.parts import DefinitionCache
from appliance.runs import services
from appliance.runs.executor import Executor
from appliance.runs.ledger import Ledger
from appliance.runs.performer import Performer
from appliance.runs.receipts import Receipts
from appliance.runs.reconciler import Reconciler
from appliance.safety.gate import Gate
from appliance.sandbox.docker.client import Where
from appliance.sandbox.ports import Captured, Job, Outcome, Usage
from appliance.tasks.services import apply_text
from tests import database
from tests.database import address, emptied
from tests.integration.runs.shop import PASSWORD, furnish, keep_secret, superuser, url
from tests.wait import wait_for_async

Work = Callable[[Job], Awaitable[Outcome]]
Pool = AsyncConnectionPool[AsyncConnection[Any]]
EMPTIED = emptied(
    *("runs_run", "runs_step", "runs_checkpoint", "runs_split", "runs_turn", "runs_rate", "runs_away"),
    *("tasks_occurrence", "tasks_nottriggered", "tasks_webhookseen", "tasks_hold"),
    *("outbox_item", "events_event", "cache_cacheentry", "bus_topicvalue", "sandbox_finding"),
)


@dataclass
class World:
    """What actions reach: publishes and jobs are counted here, and a test says how they go."""

    published: list[tuple[str, bytes]] = field(default_factory=list)
    jobs: list[tuple[str, ...]] = field(default_factory=list)
    given: list[Job] = field(default_factory=list)
    places: list[Where] = field(default_factory=list)
    publishing: Callable[[str, bytes], Awaitable[None]] | None = None
    reaching: Callable[[float], Awaitable[bool]] | None = None
    working: Work | None = None
    asked: list[tuple[Question, Wish]] = field(default_factory=list)
    answering: Callable[[Question, Wish], Awaitable[Reply]] | None = None

    async def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float, broker: str = ""
    ) -> None:
        self.published.append((place_of(broker, topic), payload))
        if self.publishing:
            await self.publishing(topic, payload)

    async def reach(self, broker: str, patience: float) -> bool:
        return await self.reaching(patience) if self.reaching else False

    async def run_contained(
        self, job: Job, where: Where, on_output: Callable[[str, bytes], None] | None
    ) -> Outcome:
        self.places.append(where)
        return await self.run_confined(job, on_output)

    async def run_confined(self, job: Job, on_output: Callable[[str, bytes], None] | None) -> Outcome:
        self.jobs.append(job.argv)
        self.given.append(job)
        return await self.working(job) if self.working else outcome()

    async def ask(self, question: Question, wish: Wish, on_text: Callable[[str], None] | None) -> Reply:
        self.asked.append((question, wish))
        if self.answering is None:
            raise KeeperAway("there are no models here")
        return await self.answering(question, wish)


def outcome(
    exit_status: int | None = 0,
    stdout: bytes = b"",
    stderr: bytes = b"",
    *,
    signal: int | None = None,
    timed_out: bool = False,
    cancelled: bool = False,
) -> Outcome:
    return Outcome(
        exit_status,
        signal,
        timed_out,
        cancelled,
        Captured(stdout, b"", len(stdout)),
        Captured(stderr, b"", len(stderr)),
        SystemClock().now(),
        timedelta(seconds=0.01),
        Usage(0.0, 0.0, 0),
    )


def answering(*outcomes: Outcome) -> Work:
    """Jobs that end as told, one after another."""
    left = list(outcomes)

    async def work(job: Job) -> Outcome:
        return left.pop(0)

    return work


def task(actions: str, **keys: str) -> str:
    """The YAML of a task ``t`` that is started by hand."""
    said = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return f"- name: t\n  trigger: manual\n{said}  actions:\n{actions}"


@dataclass
class Engine:
    """One box's engine. Each ``worker()`` is another worker process as far as the ledger can tell."""

    pool: Pool
    home: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(SystemClock().now()))
    world: World = field(default_factory=World)
    lives: int = 0
    denied_kinds: frozenset[str] = frozenset()
    patience: float = 15.0
    """Seconds for which a worker may be at one run."""

    def gate(self) -> Gate:
        """The gate as a process makes it."""
        return Gate(self.home, self.denied_kinds, clock=self.clock)

    def ledger(self) -> Ledger:
        self.lives += 1
        return Ledger(self.pool, f"worker-0/life-{self.lives}")

    def worker(self) -> Executor:
        ledger = self.ledger()
        performer = Performer(ledger, self.gate(), self.world, self.clock, DefinitionCache().get)
        return Executor(ledger, performer, self.clock)

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.pool, self.clock)

    @property
    def receipts(self) -> Receipts:
        return Receipts(self.pool)

    async def load(self, text: str) -> None:
        await sync_to_async(apply_text)(text, "test.yaml", BOX, self.clock.now())

    async def start(self, name: str, inputs: JsonObject | None = None) -> UUID:
        return await sync_to_async(services.start_task)(name, BOX, self.clock.now(), inputs=inputs)

    async def begin(self, text: str, inputs: JsonObject | None = None) -> UUID:
        """Load a file of one task named ``t`` and start it."""
        await self.load(text)
        return await self.start("t", inputs)

    async def perform(self, run_id: UUID, worker: Executor | None = None) -> dict[str, Any]:
        """One worker looks at the run until it lets go of it; gives the row."""
        worker = worker or self.worker()
        worker.attend(run_id)
        await wait_for_async(lambda: worker.active == 0, self.patience, "the worker lets go of the run")
        return await self.run(run_id)

    async def crash(self, worker: Executor) -> None:
        """The end of a worker as kill -9 leaves it in the ledger: nothing more is written, the lease stays."""
        await worker.drain(0)

    async def expire(self, *run_ids: UUID) -> None:
        """Let the leases run out."""
        await self.sql(
            "UPDATE runs_run SET lease_until = now() - interval '1 second' WHERE id = ANY(%s)", list(run_ids)
        )

    async def recover(self, *run_ids: UUID) -> list[str]:
        await self.expire(*run_ids)
        return [repair.done for repair in await self.reconciler.recover()]

    async def pass_time(self, run_id: UUID, length: timedelta) -> None:
        """The box's clock moves on; a waiting run whose time has come by it is due for the database too."""
        self.clock.advance(length)
        await self.sql(
            "UPDATE runs_run SET wake_at = now() - interval '1 second' WHERE id = %s AND wake_at <= %s",
            run_id,
            self.clock.now(),
        )

    async def run(self, run_id: UUID) -> dict[str, Any]:
        (row,) = await self.sql("SELECT * FROM runs_run WHERE id = %s", run_id)
        return row

    async def state(self, run_id: UUID) -> str:
        row = await self.run(run_id)
        return f"{row['state']}:{row['waiting_for']}" if row["waiting_for"] else str(row["state"])

    async def state_is(self, run_id: UUID, wanted: str) -> bool:
        return await self.state(run_id) == wanted

    async def steps(self, run_id: UUID) -> list[tuple[str, int, str]]:
        rows = await self.sql(
            "SELECT step, attempt, state FROM runs_step WHERE run_id = %s ORDER BY position, attempt", run_id
        )
        return [(row["step"], row["attempt"], row["state"]) for row in rows]

    async def sql(self, text: str, *values: Any) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(text, values)
            return await cursor.fetchall() if cursor.description else []

    async def count(self, table: str) -> int:
        (row,) = await self.sql(f"SELECT count(*) AS n FROM {table}")
        return int(row["n"])


@pytest.fixture
def clean(transactional_db: None) -> None:
    database.execute(EMPTIED)


@pytest.fixture
async def pool(clean: None) -> AsyncIterator[Pool]:
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=10, kwargs={"autocommit": True}, open=False
    ) as opened:
        yield opened


@pytest.fixture
def silent_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker listens: whatever must happen, happens without a hint."""
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)


@pytest.fixture
async def engine(pool: Pool, tmp_path: Path, silent_hints: None) -> AsyncIterator[Engine]:
    yield Engine(pool, tmp_path)
    await sync_to_async(connections.close_all)()


@pytest.fixture(scope="session")
def _building(engines: Config) -> Iterator[None]:
    """The shop's database and its roles: making them takes longer than any test in it."""
    with superuser() as server:
        for role in ("clerk", "guest"):
            server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        server.execute("CREATE DATABASE shop OWNER clerk")
    yield
    # Another connection: some tests end all that there are.
    with superuser() as server:
        server.execute("DROP DATABASE shop WITH (FORCE)")
        for role in ("clerk", "guest"):
            server.execute(f"DROP ROLE {role}")


@pytest.fixture
def shop(clean: None, _building: None) -> Iterator["psycopg.Connection[Any]"]:
    """A database with one table; ``clerk`` owns it and may make more, ``guest`` may not."""
    with superuser("shop") as inside:
        furnish(inside)
        yield inside


@pytest.fixture
async def desk(engine: Engine, shop: "psycopg.Connection[Any]") -> Engine:
    await keep_secret(engine, url())
    return engine
