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
import psycopg

from appliance.inference.acceptance.domain import Result, Subject
from appliance.inference.acceptance.engine import ONE_EACH, Engine, EngineBroke
from appliance.inference.acceptance.golden_sets import golden_digest, golden_sets
from appliance.inference.acceptance.suite import run_suite
from appliance.inference.acceptance.tries import Claimed, Tries
from appliance.inference.backends.dialects import dialect_of
from appliance.inference.believing import believed
from appliance.inference.catalogue.repository import Repository, Stored
from appliance.inference.client import KeeperClient, Lease
from appliance.inference.domain import InstanceState
from appliance.inference.errors import KeeperAway, ModelBusy, ModelUnavailable, ModelUnknown
from appliance.inference.leases import Order, Verb, Wish
from appliance.inference.scheduling.ports import WENT_FOR, key_of_candidate
from appliance.lib.away import passes
from appliance.lib.cancelling import end
from appliance.lib.errors import MillwrightError
from appliance.lib.priority import Priority
from appliance.lib.said import say

log = logging.getLogger(__name__)

PRINCIPAL = "box/acceptance"
LONGEST_WAIT = 300.0
"""Seconds for a place; then it waits anew, behind all others."""
LOOK_EVERY = 0.5
BEAT_EVERY = 1.0
POLL = 5.0
_RUNS = (InstanceState.LOADING, InstanceState.READY, InstanceState.DRAINING)
_GONE = (InstanceState.STOPPING, InstanceState.ABSENT)
_LAST_WORDS = 5.0
"""Seconds in which the keeper sees that an engine is gone whose connection broke."""


class _Replaced(Exception):
    """Somebody has said something else of this name meanwhile."""


class _EngineDied(ModelUnavailable):
    """It failed while it loaded, or at work."""


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
        found: list[Result] = []
        golden = golden_digest(self._repository.root, claimed.name)
        try:
            stored = self._files(claimed)
            await self._keeper.order(Order(verb=Verb.REFRESH, principal=PRINCIPAL))
            await self._tested(claimed, stored, found)
            await self._verdict(claimed, found, golden)
        except _Replaced:
            await self._tries.forget(claimed)
        except (KeeperAway, ModelBusy) as error:
            await self._tries.pause(claimed, error.message)
            return False
        except MillwrightError as error:
            if why := self._stopped():
                await self._tries.pause(claimed, why)
                return False
            await self._not_done(claimed, error, found, golden)
        except Exception as error:
            if isinstance(error, psycopg.Error) and passes(error):
                raise
            # Of one candidate: the others are tested all the same.
            log.exception("the tests of %s@%s broke", claimed.name, claimed.version)
            kept = [] if isinstance(error, psycopg.Error) else found
            why = "the tests themselves broke; the box's log says where"
            await self._tries.refuse(claimed, why, kept, golden)
        return True

    async def _not_done(
        self, claimed: Claimed, error: MillwrightError, found: Sequence[Result], golden: str
    ) -> None:
        """What no engine was at work for says nothing of the model: no room, the switch, mistakes in a golden set."""
        if found or isinstance(error, EngineBroke | _EngineDied):
            await self._tries.refuse(claimed, str(error), found, golden)
        else:
            await self._tries.give_up(claimed, str(error))

    async def _verdict(self, claimed: Claimed, found: Sequence[Result], golden: str) -> None:
        failed = [one for one in found if not one.passed]
        if failed:
            await self._tries.refuse(claimed, _why(failed), found, golden)
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
        granted = asyncio.Event()
        testing = asyncio.create_task(self._suite(claimed, stored, found, granted))
        watching = asyncio.create_task(self._until_failed(key_of_candidate(stored.manifest), granted))
        broke = False
        try:
            await asyncio.wait({testing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if testing.done():
                broke = isinstance(testing.exception(), EngineBroke)
                if not broke:
                    return testing.result()
                # The keeper knows better what became of it.
                await asyncio.wait({watching}, timeout=_LAST_WORDS)
            if watching.done():
                ended = watching.result()
                if isinstance(ended, ModelBusy):
                    # Its last test may have ended in that moment.
                    await asyncio.wait({testing}, timeout=_LAST_WORDS)
                    if testing.done() and testing.exception() is None:
                        return testing.result()
                elif broke:
                    raise _EngineDied(ended.message)
                raise ended
            return testing.result()
        finally:
            await end({testing, watching})

    async def _suite(
        self, claimed: Claimed, stored: Stored, found: list[Result], at_work: asyncio.Event
    ) -> None:
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
            httpx.AsyncClient(trust_env=False, limits=ONE_EACH, verify=believed(lease.granted.url)) as client,
        ):
            at_work.set()
            granted = lease.granted
            dialect = dialect_of(granted.chosen.engine)
            engine = Engine(client, granted.url, granted.key, granted.served_name, dialect)
            async with _beating(lease, engine):
                subject = Subject(engine, stored.manifest, claimed.profile, golden)
                await run_suite(subject, kept)
            lease.done(engine.tokens)

    async def _until_failed(self, key: str, at_work: asyncio.Event) -> ModelUnavailable | ModelBusy:
        """Why its engine has failed, as soon as the keeper says so; ModelBusy where it had to go for somebody else.

        One that never ran says nothing of the model.
        """
        ran = False
        while True:
            with contextlib.suppress(ModelUnavailable):
                for one in (await self._keeper.look()).models:
                    if one.model != key:
                        continue
                    ran = ran or one.state in _RUNS or at_work.is_set()
                    if one.state in (InstanceState.FAILED, InstanceState.QUARANTINED):
                        why = say("its engine failed: %(why)s", why=one.reason)
                        return _EngineDied(why) if ran else ModelUnavailable(why)
                    if ran and one.state in _GONE and one.reason.endswith(WENT_FOR):
                        return ModelBusy(one.reason)
            await asyncio.sleep(LOOK_EVERY)


def _why(failed: Sequence[Result]) -> str:
    first, *others = failed
    if not others:
        return say("it failed %(test)s: %(why)s", test=first.name, why=first.detail)
    more = ", ".join(one.name for one in others)
    return say("it failed %(test)s: %(why)s (also: %(more)s)", test=first.name, why=first.detail, more=more)


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
