"""The sender: takes what waits in the outbox to its bridges, in order per target, and keeps the receipts."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.lib.away import DATABASE_AWAY
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.plain import plain_object
from appliance.lib.said import say
from appliance.outbox.digests import FoldingLedger
from appliance.outbox.domain import Breaker, BreakerState, Bucket, OutboxState
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from appliance.outbox.hints import listen
from appliance.outbox.ledger import Claim, Verdict
from appliance.outbox.ports import Courier, Hold, Parcel, ReceiptListener
from appliance.outbox.sql import HINT_CHANNEL

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
POLL = 1.0
RENEW_EVERY = 10.0
SWEEP_EVERY = 5.0
SEND_LIMIT = 120.0
NOT_READY_PAUSE = 30.0
PARALLEL = 32
PER_PLATFORM = 8
"""So that one that hangs leaves room for the others."""
TELL_AT_ONCE = 100
GRACE = 3.0
SET_BACK = 5.0
"""Seconds by which the wall clock must have been set back to be noticed."""


@dataclass(frozen=True, slots=True)
class SenderHealth:
    """For the overview: platforms that rest after failures or are away, and how many messages are on their way."""

    resting: tuple[str, ...]
    sending: int
    away: tuple[str, ...] = ()


class Sender:
    """One per box by design; two do no harm, because rows are claimed under a lease with a fencing token.

    ``away`` names the platforms that the network does not reach now: theirs waits without being tried.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        courier: Courier,
        listener: ReceiptListener,
        clock: Clock,
        *,
        lease: timedelta = LEASE,
        send_limit: float = SEND_LIMIT,
        away: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._pool = pool
        self._courier = courier
        self._listener = listener
        self._clock = clock
        self._send_limit = send_limit
        self._away = away
        owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._ledger = FoldingLedger(pool, clock, owner, lease, courier.digests)
        self._wake = asyncio.Event()
        self._sending: dict[str, Claim] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cooling: dict[str, float] = {}
        self._breakers: dict[str, Breaker] | None = None
        self._buckets: dict[str, Bucket] = {}
        self._renewed = self._swept = clock.monotonic()
        self._asked_again = False
        self._ahead = clock.now().timestamp() - clock.monotonic()
        """Of the wall clock, as of the last round: less than that says that it was set back."""

    def poke(self) -> None:
        """Something may be due: look now instead of at the next poll."""
        self._wake.set()

    def health(self) -> SenderHealth:
        now = self._clock.now()
        resting = (n for n, b in (self._breakers or {}).items() if b.state(now) is BreakerState.OPEN)
        return SenderHealth(tuple(resting), len(self._sending), tuple(self._away()))

    def network_is_back(self, platforms: Iterable[str]) -> None:
        """Try these now: a pause that began while the network was away has lost its reason."""
        for platform in platforms:
            if self._breakers and platform in self._breakers:
                self._breakers[platform].try_now()
        self.poke()

    async def run(self) -> None:
        """Send until cancelled; messages on their way then get a few seconds to arrive."""
        hints = asyncio.create_task(listen(self._pool, {HINT_CHANNEL: lambda _: self.poke()}))
        try:
            while True:
                try:
                    await self.round()
                except (DatabaseError, PoolTimeout, OSError) as error:
                    log.warning("the outbox waits for its database: %s", error)
                except Exception:
                    log.exception("the outbox goes on after an error")
                await self._rest()
        finally:
            hints.cancel()
            await self._drain()

    async def round(self) -> int:
        """One look: expire, claim and start what is due, tell what ended. Gives how many were started."""
        self._wake.clear()
        now = self._clock.monotonic()
        ahead = self._clock.now().timestamp() - now
        if ahead < self._ahead - SET_BACK:
            await self._ledger.clock_set_back()
        self._ahead = ahead
        if not self._asked_again:
            await self._ledger.ask_again()
            self._asked_again = True
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            await self._ledger.expire()
            await self._ledger.release_due()
        if now - self._renewed >= RENEW_EVERY:
            self._renewed = now
            if self._sending:
                await self._ledger.renew(list(self._sending.values()))
        started = await self._start_due(now)
        await self._tell()
        return started

    async def settle(self) -> None:
        """Wait for the messages that are on their way now, and tell the listener."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._tell()

    async def _start_due(self, now: float) -> int:
        free = PARALLEL - len(self._sending)
        if free <= 0:
            return 0
        if self._breakers is None:
            self._breakers = await self._ledger.breakers()
        self._cooling = {target: until for target, until in self._cooling.items() if until > now}
        held = [*self._cooling, *self._sending]
        claims = await self._ledger.claim(free, PER_PLATFORM, self._rooms(now), held)
        for claim in claims:
            self._sending[_target(claim.parcel)] = claim
            self._buckets.setdefault(claim.parcel.platform, Bucket()).take()
            task = asyncio.create_task(self._send(claim))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claims)

    def _rooms(self, now: float) -> dict[str, int]:
        """How many messages each known platform may be given now."""
        breakers, wall = self._breakers or {}, self._clock.now()
        flying = Counter(claim.parcel.platform for claim in self._sending.values())
        rooms = {}
        for platform in {*breakers, *self._buckets}:
            state = breakers[platform].state(wall) if platform in breakers else BreakerState.CLOSED
            most = {BreakerState.CLOSED: PER_PLATFORM, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 0}[state]
            room = most - flying[platform]
            pace = self._courier.pace(platform, None)
            tokens = self._buckets.setdefault(platform, Bucket()).whole(now, pace.per_second, pace.burst)
            rooms[platform] = max(0, room if tokens is None else min(room, tokens))
        return {**rooms, **dict.fromkeys(self._away(), 0)}

    async def _send(self, claim: Claim) -> None:
        """One delivery with its end. A database that is away leaves the row to its lease."""
        try:
            hold = await self._better_time(claim.parcel)
            if hold is not None:
                await self._ledger.hold(claim, hold)
            else:
                await self._deliver(claim)
        except (DatabaseError, PoolTimeout, OSError) as error:
            log.warning("the end of a delivery could not be written, it will be repeated: %s", error)
        finally:
            self._sending.pop(_target(claim.parcel), None)
            self.poke()

    async def _better_time(self, parcel: Parcel) -> Hold | None:
        """What has begun to be said is said to its end, and what cannot be asked about is told now."""
        if not parcel.about or parcel.parts_done:
            return None
        try:
            return await self._courier.hold_until(parcel, self._clock.now())
        except (*DATABASE_AWAY, PoolTimeout):
            raise
        except Exception:
            log.exception("whether %s is to wait is not known", parcel.id)
            return None

    async def _deliver(self, claim: Claim) -> None:
        parcel = claim.parcel
        pace = self._courier.pace(parcel.platform, parcel.conversation)
        assert self._breakers is not None
        breaker = self._breakers.setdefault(parcel.platform, Breaker())
        try:
            async with asyncio.timeout(self._send_limit):
                reach("outbox.before_send")
                receipt = await self._courier.deliver(parcel)
                reach("outbox.after_send")
        except DeliveryRefused as error:
            breaker.succeeded()
            await self._ledger.failed(claim, error, breaker)
        except NotReady as error:
            await self._ledger.postponed(claim, error, NOT_READY_PAUSE, breaker)
        except DeliveryDeferred as error:
            breaker.succeeded()  # it answers
            self._cool(parcel, error.retry_after)
            self._buckets[parcel.platform].drain()
            await self._ledger.postponed(claim, error, error.retry_after, breaker)
        except DeliveryError as error:
            await self._failed_for_now(claim, breaker, error)
        except TimeoutError:
            slow = PlatformAway(
                say("%(platform)s did not answer in time", platform=parcel.platform), maybe_sent=True
            )
            await self._failed_for_now(claim, breaker, slow)
        except (*DATABASE_AWAY, PoolTimeout):
            raise  # our own database, not the platform
        except Exception:
            log.exception("the bridge of %s broke", parcel.platform)
            broken = PlatformAway(
                say("the bridge of %(platform)s broke; see the log", platform=parcel.platform),
                maybe_sent=True,
            )
            await self._failed_for_now(claim, breaker, broken)
        else:
            breaker.succeeded()
            self._cool(parcel, pace.interval)
            if not await self._ledger.delivered(claim, receipt, breaker):
                log.warning("outbox item %s was delivered after its lease had ended", parcel.id)
            reach("outbox.after_receipt")

    async def _failed_for_now(self, claim: Claim, breaker: Breaker, error: DeliveryError) -> None:
        breaker.failed(self._clock.now())
        await self._ledger.postponed(claim, error, delay(claim.parcel.attempt), breaker)

    async def _tell(self) -> None:
        """Tell the runs; who could not be told now is told at a later round."""
        verdicts, told = await self._ledger.untold(TELL_AT_ONCE), []
        for verdict in verdicts:
            try:
                await self._tell_one(verdict)
            except (DatabaseError, PoolTimeout, OSError):
                raise
            except Exception:
                log.exception("run %s could not be told of its delivery", verdict.run_id)
            else:
                told.append(verdict)
        if told:
            await self._ledger.told(told)
            if len(verdicts) == TELL_AT_ONCE:
                self.poke()  # a digest ends many at once

    async def _tell_one(self, verdict: Verdict) -> None:
        if verdict.state is OutboxState.DELIVERED:
            await self._listener.delivered(
                verdict.run_id, verdict.step_id, plain_object(verdict.receipt or {})
            )
        else:
            await self._listener.failed(verdict.run_id, verdict.step_id, verdict.reason)

    def _cool(self, parcel: Parcel, seconds: float) -> None:
        if seconds > 0:
            self._cooling[_target(parcel)] = self._clock.monotonic() + seconds

    async def _rest(self) -> None:
        """Until something is due or somebody pokes."""
        now = self._clock.monotonic()
        ends = [until - now for until in self._cooling.values()]
        paces = {platform: self._courier.pace(platform, None).per_second for platform in self._buckets}
        ends += [pause for name, rate in paces.items() if (pause := self._buckets[name].next_in(rate))]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.01, min([POLL, *ends]))):
                await self._wake.wait()

    async def _drain(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _target(parcel: Parcel) -> str:
    """As the claim's SQL writes it: platform, unit separator, conversation."""
    return f"{parcel.platform}\x1f{parcel.conversation or ''}"
