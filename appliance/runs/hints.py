"""Hints to the workers: "look at these runs", by Redis publish and subscribe.

They may be lost; the workers' sweep finds what they would have said. Every worker hears every hint, and the claim
decides who runs what. No queue lies between, because a hint that nobody hears is worth nothing later.
"""

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from uuid import UUID

import redis
import redis.asyncio
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance.lib.config import Config, get_config

log = logging.getLogger(__name__)

MOST = 1000
"""Runs that wait to be hinted at; what comes on top of them is left to the sweep."""
PATIENCE = 2.0
"""Seconds for Redis to answer."""
AGAIN = 0.5
"""Seconds between two tries to hear."""
FAREWELL = 2.0
"""Seconds that a process which ends gives its last hints."""


class HintSender:
    """One thread that sends what has gathered: whoever hints never waits for a broker that is away or slow."""

    def __init__(self, send: Callable[[list[str]], None], most: int = MOST) -> None:
        self._send = send
        self._most = most
        self._waiting: list[str] = []
        self._changed = threading.Condition()
        self._busy = False
        self._away = False
        self._thread: threading.Thread | None = None

    def put(self, run_ids: Sequence[UUID]) -> None:
        """Send soon, from another thread. Never blocks, never raises."""
        with self._changed:
            room = self._most - len(self._waiting)
            self._waiting += [str(run_id) for run_id in run_ids[:room]]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float = FAREWELL) -> bool:
        """Wait until all is sent; whether it was within ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                batch, self._waiting, self._busy = self._waiting, [], True
            try:
                self._send(batch)
                self._away = False
            except Exception as error:
                # Any failure of the broker's client lands here: the rows are committed, the sweep finds them.
                if not self._away:
                    log.warning("hints are not sent, runs begin up to a second later: %s", error)
                self._away = True


def look_at(run_ids: Sequence[UUID]) -> None:
    """Send a hint after the current transaction has committed."""
    if run_ids:
        transaction.on_commit(partial(send, list(run_ids)))


def send(run_ids: Sequence[UUID]) -> None:
    """Send a hint now. A broker that is away costs a second of latency, nothing else."""
    _sender().put(run_ids)


@cache
def _sender() -> HintSender:
    sender = HintSender(_publish)
    # A command that starts a run ends at once; its hint shall still go out.
    atexit.register(sender.flush)
    return sender


def _publish(run_ids: list[str]) -> None:
    _client().publish(_channel(get_config()), " ".join(run_ids))


def _channel(config: Config) -> str:
    """Channels are one for all databases of a Redis, which boxes may share."""
    return f"mw:{config.home.id}:runs"


@cache
def _client() -> redis.Redis:
    # One more try: the connection may be one that a Redis has forgotten which was started again since.
    return redis.Redis.from_url(
        get_config().redis_url,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 1),
    )


async def hear(config: Config, look: Callable[[Sequence[UUID]], None]) -> None:
    """Call ``look`` with the runs of each hint, until cancelled; a Redis that is away is asked again and again."""
    away = False
    while True:
        try:
            client = redis.asyncio.Redis.from_url(config.redis_url, socket_connect_timeout=PATIENCE)
            async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(_channel(config))
                away = False
                async for message in subscription.listen():
                    look([UUID(run_id) for run_id in message["data"].decode().split()])
        except (redis.RedisError, OSError, ValueError) as error:
            if not away:
                log.warning("hints are not heard, runs begin up to a second later: %s", error)
            away = True
        await asyncio.sleep(AGAIN)
