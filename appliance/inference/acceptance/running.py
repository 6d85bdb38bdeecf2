"""Who tests candidates: one at a time, with a lease like everybody, and the verdict.

It stands beside the keeper's loop and never in it. All that it knows is in the database, so that a keeper that was
killed in the middle begins again; a verdict counts only for the very claim that it is about.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx

from appliance.inference.acceptance.domain import Result, Subject
from appliance.inference.acceptance.engine import ONE_EACH, Engine, EngineBroke
from appliance.inference.acceptance.golden_sets import golden_digest, golden_sets
from appliance.inference.acceptance.suite import run_suite
from appliance.inference.acceptance.tries import Claimed, Tries
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.domain import InstanceState
from appliance.inference.errors import KeeperAway, ModelBusy, ModelUnavailable, ModelUnknown
from appliance.inference.leases import Order, Verb, Wish
from appliance.inference.scheduling.ports import key_of_candidate
from appliance.lib.cancelling import end
from appliance.lib.errors import MillwrightError
from appliance.lib.priority import Priority

log = logging.getLogger(__name__)

PRINCIPAL = "box/acceptance"
LONGEST_WAIT = 3600.0
"""Seconds for a place; then it waits anew."""
LOOK_EVERY = 0.5
BEAT_EVERY = 1.0
POLL = 5.0
_LAST_WORDS = 5.0
"""Seconds in which the keeper sees that an engine is gone whose connection broke."""


class _Replaced(Exception):
    """Somebody has said something else of this name meanwhile."""


class Accepting:
    """``stopped`` says why no model may be at work now; empty where they may."""

    def __init__(
        self,
        tries: Tries,
        keeper: KeeperClient,
        repository: Repository,
        stopped: Callable[[], str],
        *,
        poll: float = POLL,
    ) -> None:
        self._tries = tries
        self._keeper = keeper
        self._repository = repository
        self._stopped = stopped
        self._poll = poll
        self._wake = asyncio.Event()
        self._resumed = False

    def wake(self) -> None:
        """There may be something to test."""
        self._wake.set()

    async def step(self) -> None:
        """Wait a little for something to test, and test what waits. After any error it begins again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._wake.wait()
        self._wake.clear()
        try:
            if not self._resumed:
                await self._tries.resume()
                self._resumed = True
            while not self._stopped() and (claimed := await self._tries.claim()) is not None:
                if not await self._judge(claimed):
                    return
        except Exception:
            self._resumed = False
            raise

    async def _judge(self, claimed: Claimed) -> bool:
        """Test one, and write the verdict; False where it could not be tested now."""
        golden = golden_digest(self._repository.root, claimed.name)
        found: list[Result] = []
        try:
            stored = self._files(claimed)
            await self._keeper.order(Order(verb=Verb.REFRESH, principal=PRINCIPAL))
            await self._tested(claimed, stored, found)
        except _Replaced:
            await self._tries.forget(claimed)
            return True
        except (KeeperAway, ModelBusy) as error:
            await self._tries.pause(claimed, error.message)
            return False
        except MillwrightError as error:
            if why := self._stopped():
                await self._tries.pause(claimed, why)
                return False
            await self._tries.refuse(claimed, str(error), found, golden)
            return True
        await self._verdict(claimed, found, golden)
        return True

    async def _verdict(self, claimed: Claimed, found: Sequence[Result], golden: str) -> None:
        failed = [one.name for one in found if not one.passed]
        if failed:
            first = next(one for one in found if not one.passed)
            more = f" (also: {', '.join(failed[1:])})" if failed[1:] else ""
            await self._tries.refuse(claimed, f"{first.name}: {first.detail}{more}", found, golden)
        elif not await self._tries.go_live(claimed, found, golden):
            why = "it passed, but somebody has changed meanwhile what is served: serve it again"
            await self._tries.keep_passed(claimed, why, found, golden)

    def _files(self, claimed: Claimed) -> Stored:
        stored = self._repository.read(claimed.name, claimed.version)
        if stored.manifest.digest != claimed.digest:
            raise ModelUnknown(f"{claimed.name}@{claimed.version} is another one than was to be tested")
        return stored

    async def _tested(self, claimed: Claimed, stored: Stored, found: list[Result]) -> None:
        """All tests, into ``found``. Raises MillwrightError where they could not be done to the end."""
        testing = asyncio.create_task(self._suite(claimed, stored, found))
        watching = asyncio.create_task(self._until_failed(key_of_candidate(stored.manifest)))
        try:
            await asyncio.wait({testing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if testing.done():
                broke = isinstance(testing.exception(), EngineBroke)
                if not broke:
                    return testing.result()
                # The keeper knows better what became of it.
                await asyncio.wait({watching}, timeout=_LAST_WORDS)
            if watching.done():
                raise ModelUnavailable(watching.result())
            return testing.result()
        finally:
            await end({testing, watching})

    async def _suite(self, claimed: Claimed, stored: Stored, found: list[Result]) -> None:
        golden = golden_sets(self._repository.root, claimed.name)

        async def kept(results: Sequence[Result]) -> None:
            found[:] = results
            if not await self._tries.progress(claimed, results):
                raise _Replaced

        wish = Wish(
            model=key_of_candidate(stored.manifest),
            candidate=True,
            priority=Priority.LOW,
            deadline=LONGEST_WAIT,
            principal=PRINCIPAL,
            pinned=claimed.digest,
        )
        async with (
            self._keeper.lease(wish) as lease,
            httpx.AsyncClient(trust_env=False, limits=ONE_EACH) as client,
        ):
            granted = lease.granted
            dialect = dialect_of(granted.chosen.engine)
            engine = Engine(client, granted.url, granted.key, granted.served_name, dialect)
            async with _beating(lease, engine):
                subject = Subject(engine, stored.manifest, claimed.profile, golden)
                await run_suite(subject, kept)
            lease.done(engine.tokens)

    async def _until_failed(self, key: str) -> str:
        """Why its engine has failed, as soon as the keeper says so."""
        while True:
            with contextlib.suppress(ModelUnavailable):
                for one in (await self._keeper.look()).models:
                    if one.model == key and one.state in (InstanceState.FAILED, InstanceState.QUARANTINED):
                        return f"its engine failed: {one.reason}"
            await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def _beating(lease: Lease, engine: Engine) -> AsyncIterator[None]:
    """Say that it gets on: a long prompt gives no token for minutes, and the engine's own patience ends it."""

    async def beat() -> None:
        while True:
            lease.beat(engine.tokens)
            await asyncio.sleep(BEAT_EVERY)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        await end({beating})
