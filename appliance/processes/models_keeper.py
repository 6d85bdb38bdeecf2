"""The keeper of models as a process: it decides what is loaded, and everybody else asks it at its socket."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import ssl
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.events.hints import Hinter
from appliance.inference import sql
from appliance.inference.acceptance.running import Accepting
from appliance.inference.acceptance.tries import Tries
from appliance.inference.backends.contract import BackendContext
from appliance.inference.backends.registry import build
from appliance.inference.catalogue.repository import Repository
from appliance.inference.client import KeeperClient
from appliance.inference.hardware.domain import Hardware
from appliance.inference.hardware.reading import this_machine
from appliance.inference.scheduling.adopting import end_all
from appliance.inference.scheduling.barring import barring
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.records import Records
from appliance.inference.scheduling.server import KeeperServer
from appliance.inference.scheduling.shelf import DatabaseShelf
from appliance.lib.authorities import authorities_with
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config, plain_environment
from appliance.processes import go_ahead
from appliance.processes.part_watch import STOPPED
from appliance.processes.parts import open_pool
from appliance.processes.periodic import Periodic
from appliance.processes.signs import sign
from appliance.safety.secrets import resolve_async
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.process.client import ProcessSandbox

log = logging.getLogger(__name__)

PART = "keeper"
SIGN_EVERY = 3.0
PRUNE_EVERY = 3600.0
KEEP_CHANGES = timedelta(days=30)
LISTEN_AGAIN = 1.0
STOPS_WITHIN = 25.0
"""An engine in a container has ten seconds to end by itself."""


class ModelsKeeper:
    """Owns the keeper's parts."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._jobs = Periodic()

    async def start(self) -> None:
        config, clock = self._config, SystemClock()
        self._pool = await open_pool(config, smallest=1, largest=4)
        self._backends = build(self._context())
        self._trial = Completion(self._backends, trusted=_trusted(config))
        self._hinter = Hinter()
        records = Records(self._pool, clock, self._hinter.poke)
        repository = Repository(config.home.models)
        shelf = DatabaseShelf(self._pool, repository)
        stop_file = StopFile(config.home.path)
        switch = barring(refused=config.models_refused, standins=config.standin_models)
        self.keeper = Keeper(
            shelf,
            records,
            self._backends,
            _hardware,
            self._trial,
            clock,
            stopped=lambda: stopped(stop_file),
            bar=switch.bar,
            barred=switch.said,
        )
        self._keeping = asyncio.create_task(self.keeper.run())
        self._serving = asyncio.create_task(KeeperServer(self.keeper, config.home.keeper_socket).serve())
        self._accepting = Accepting(
            Tries(self._pool, clock, self._hinter.poke),
            KeeperClient(config.home.keeper_socket),
            repository,
            lambda: stopped(stop_file),
        )
        self._jobs.every(0, self._accepting.step)
        self._jobs.every(LISTEN_AGAIN, self._listen)
        self._jobs.every(SIGN_EVERY, self._sign)
        self._jobs.every(PRUNE_EVERY, lambda: records.prune(KEEP_CHANGES))
        log.info("keeper ready")

    async def failed(self) -> None:
        """Returns when a part that goes on for ever has ended: the process ends too, and is started anew."""
        await asyncio.wait([self._keeping, self._serving], return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Where the box goes down its engines do too. Else containers go on, and are adopted by the next life."""
        await self._jobs.stop()
        self._serving.cancel()
        self._keeping.cancel()
        for ended in await asyncio.gather(self._serving, self._keeping, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("the keeper ended by itself", exc_info=ended)
        if go_ahead.is_withdrawn():
            await self.keeper.roster.close(keep=False)
            await end_all(self._backends)
        await asyncio.gather(*(backend.close() for backend in self._backends.values()))
        await self._trial.close()
        with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
            async with self._pool.connection(timeout=1) as connection:
                await sign(connection, PART, False, {"message": STOPPED})
        await self._hinter.close()
        await self._pool.close()

    async def _listen(self) -> None:
        """Hear at once what is to be served; what is not heard is read some seconds later."""
        connection = await AsyncConnection.connect(self._config.database_url, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {sql.HINT_CHANNEL}")
            self.keeper.changed()
            async for _ in connection.notifies():
                self.keeper.changed()
                self._accepting.wake()

    def _context(self) -> BackendContext:
        """What the backends get of the box."""
        home = self._config.home
        work = home.data / "engines"
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        return BackendContext(
            home.id,
            home.models,
            work,
            plain_environment(os.environ),
            ProcessSandbox(home.spawner_socket),
            home.guard_socket,
            self._secret,
            StopFile(home.path).level,
        )

    async def _secret(self, name: str) -> str:
        async with self._pool.connection() as connection:
            return await resolve_async(connection, f"secret:{name}", self._config.home.path)

    async def _sign(self) -> None:
        detail = _figures(self.keeper)
        async with self._pool.connection() as connection:
            await sign(connection, PART, True, detail)


def _trusted(config: Config) -> ssl.SSLContext | None:
    """None: the usual ones. Where the operator's file cannot be read, the backend says so."""
    if config.remote_models_ca is None:
        return None
    try:
        return authorities_with(config.remote_models_ca)
    except OSError:
        return None


def _figures(keeper: Keeper) -> dict[str, Any]:
    """For ``/metrics``, by model."""
    roster = keeper.roster
    models = {
        one.model: {
            "state": one.state.value,
            "in_use": one.in_use,
            "waiting": one.waiting,
            "loads": roster.loads[one.model],
            "failures": roster.failures[one.model],
        }
        for one in keeper.view().models
    }
    return {"models": models, "waiting": keeper.waiting}


def stopped(file: StopFile) -> str:
    """Why no model may be at work, as the all-stop says; empty where they may."""
    level = file.level()
    if level.rank < Level.KILL.rank:
        return ""
    return f"the all-stop stands at {level.value.replace('_', ' ')}: no model is at work until it is released"


async def _hardware() -> Hardware:
    """A driver may take a second to answer: in a thread."""
    return await asyncio.to_thread(this_machine.get)


async def run(config: Config) -> None:
    """Run until SIGTERM or SIGINT, or until a part of it ends by itself."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    keeper = ModelsKeeper(config)
    await keeper.start()
    gc.collect()
    gc.freeze()
    over = {asyncio.create_task(stopping.wait()), asyncio.create_task(keeper.failed())}
    await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
    for task in over:
        task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOPS_WITHIN):
            await keeper.stop()
