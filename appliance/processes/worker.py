"""The worker: one asyncio loop that executes runs, beside the threads for Celery's doors."""

import asyncio
import logging
from contextlib import suppress

from appliance.bus.client import BusClient
from appliance.events.hints import Hinter
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.processes.kept_output import OutputShelf
from appliance.processes.live_output import LiveOutput
from appliance.processes.masks import Masks
from appliance.processes.outgoing import OutgoingBrokers
from appliance.processes.parts import BoxServices, DefinitionCache, manner_of, open_pool, owner
from appliance.processes.signs import sign
from appliance.runs import sql
from appliance.runs.executor import Executor
from appliance.runs.hints import hear
from appliance.runs.lane import Lane
from appliance.runs.ledger import Ledger
from appliance.runs.performer import Performer
from appliance.runs.reconciler import Reconciler
from appliance.safety.gate import Gate
from appliance.safety.stop import StopFile
from appliance.sandbox.process.client import ProcessSandbox

log = logging.getLogger(__name__)

DRAIN_SECONDS = 6.0
"""For runs to end by themselves when the worker is told to stop."""
FAREWELL_SECONDS = 4.0
"""After that: commands get SIGTERM and two seconds, and what they keep is written."""
CONCURRENCY = 128
SIGN_EVERY = 3.0


class WorkerParts:
    """Everything the worker's loop holds open."""

    def __init__(self, config: Config, number: int = 0) -> None:
        self._config = config
        self._slot = f"worker-{number}"

    async def build(self) -> Executor:
        config, clock = self._config, SystemClock()
        self.pool = await open_pool(config, smallest=4, largest=12)
        self.bus = BusClient(
            config.mqtt_url,
            f"{config.home.id}-{self._slot}-{config.home.secret('mqtt_client')[:12]}",
            clean=True,
            box=config.home.id,
            on_batch=None,
        )
        await self.bus.start()
        self.brokers = OutgoingBrokers(self.pool, config, "worker")
        self.hinter = Hinter()
        self.shelf = OutputShelf(config.redis_url)
        self.live = LiveOutput(self.hinter, self.shelf)
        self.services = BoxServices(
            config.home.id,
            self.bus,
            ProcessSandbox(config.home.spawner_socket, ahead=True),
            self.brokers,
            config.home.guard_socket,
            manner_of(config),
            config.home.keeper_socket,
        )
        ledger = Ledger(self.pool, owner(self._slot), acts_after_disk=config.power_safe)
        performer = Performer(
            ledger,
            Gate(config.home.path),
            self.services,
            clock,
            DefinitionCache().get,
            on_output=self.live.emit,
            on_ended=self.live.ended,
            after_commit=self.hinter.poke,
        )
        executor = Executor(
            ledger, performer, clock, concurrency=CONCURRENCY, stop_file=StopFile(config.home.path)
        )
        masks = Masks(self.pool)
        await masks.look()
        self._masking = asyncio.create_task(masks.follow())
        await self._take_over(ledger, Reconciler(self.pool, clock))
        await executor.start()
        self._ears = asyncio.create_task(hear(config, executor.look_at))
        self._signs = asyncio.create_task(self._sign(executor))
        return executor

    async def _sign(self, executor: Executor) -> None:
        while True:
            try:
                async with self.pool.connection() as connection:
                    await sign(connection, "worker", True, {"active": executor.active})
                await self.brokers.obey_stop()
            except Exception as error:
                log.warning("no sign of life: %s", error)
            await asyncio.sleep(SIGN_EVERY)

    async def _take_over(self, ledger: Ledger, reconciler: Reconciler) -> None:
        """Queue what an earlier life of this slot held: it is dead, or we would not have its place."""
        with suppress(Exception):
            async with self.pool.connection() as connection:
                cursor = await connection.execute(
                    sql.OTHER_LIVES, {"slot": f"{self._slot}/%", "owner": ledger.owner}
                )
                dead = [row[0] for row in await cursor.fetchall()]
            repairs = await reconciler.recover(dead_owners=dead) if dead else []
            if repairs:
                log.info("took over %d run(s) of an earlier worker", len(repairs))

    async def close(self) -> None:
        self._signs.cancel()
        self._masking.cancel()
        self._ears.cancel()
        await self.services.close()
        await self.live.close()
        await self.shelf.close()
        await asyncio.gather(self.bus.stop(), self.brokers.stop())
        await self.pool.close()


def make_lane(config: Config, number: int = 0) -> Lane:
    """``number`` is the worker's place: who starts there takes over what an earlier life in it held."""
    parts = WorkerParts(config, number)
    return Lane(parts.build, parts.close)
