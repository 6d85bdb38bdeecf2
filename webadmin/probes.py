"""Asks the engines whether they answer: all at once, and never for longer than a few seconds."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

import psycopg
import redis
from django.db import connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance.bus.errors import BusError
from appliance.bus.greeting import greet
from appliance.lib.config import Config

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds for all answers together."""
# The box's own processes, and the further brokers that are switched on.
_BEATS = """
SELECT part, at, healthy, detail FROM processes_partbeat WHERE part = ANY(%s)
UNION ALL
SELECT 'mqtt:' || b.name, coalesce(p.at, b.updated_at), coalesce(p.healthy, false), coalesce(p.detail, '{}'::jsonb)
FROM bus_broker b LEFT JOIN processes_partbeat p ON p.part = 'mqtt:' || b.name WHERE b.enabled
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said: a problem, or none, and what it gave."""

    problem: str = ""
    found: Any = None


@dataclass(frozen=True, slots=True)
class Sign:
    """A part's last sign of life."""

    at: datetime
    healthy: bool
    detail: dict[str, Any]


Probe = Callable[[], Answer]


class Prober:
    """At most one question per engine is under way: one that hangs holds one thread, however often we are asked."""

    def __init__(self, probes: Mapping[str, Probe], patience: float = PATIENCE) -> None:
        self._probes = probes
        self._patience = patience
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(len(probes), "probes")
        self._asked: dict[str, Future[Answer]] = {}

    def ask(self) -> dict[str, Answer]:
        """The answer of each. Returns within the patience, and never raises."""
        with self._lock:
            for name, probe in self._probes.items():
                under_way = self._asked.get(name)
                if under_way is None or under_way.done():
                    self._asked[name] = self._pool.submit(probe)
            asked = dict(self._asked)
        wait(asked.values(), timeout=self._patience)
        return {name: self._answer(name, future) for name, future in asked.items()}

    def _answer(self, name: str, future: "Future[Answer]") -> Answer:
        if not future.done():
            return Answer(f"no answer within {self._patience:g} s")
        error = future.exception()
        if error is None:
            return future.result()
        log.error("asking %s failed", name, exc_info=error)
        return Answer("asking it failed; the log of web says why")


def ask_postgres(parts: list[str]) -> Answer:
    """Gives ``found``: the Sign by part, for those that have one."""
    # A connection of its own: one that is kept may be just the one that hangs. Without Django's adapters, which
    # leave JSON as text.
    known = connection.get_connection_params()
    parameters = {name: known[name] for name in known if name not in ("context", "cursor_factory")}
    parameters["connect_timeout"] = 2
    try:
        with psycopg.connect(**parameters) as own, own.cursor() as cursor:
            rows = cursor.execute(_BEATS, (parts,)).fetchall()
    except psycopg.Error as error:
        return Answer(f"no answer: {(str(error).splitlines() or ['it ended the connection'])[0][:200]}")
    return Answer(found={part: Sign(at, healthy, detail) for part, at, healthy, detail in rows})


def ask_redis(url: str) -> Answer:
    # Without a retry of its own: it would double the time, and we are asked again soon.
    once = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=once) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return Answer(f"no answer: {str(error)[:200]}")
    return Answer()


def ask_broker(url: str) -> Answer:
    try:
        greet(url, timeout=PATIENCE / 2)
    except BusError as error:
        return Answer(error.message[:200])
    return Answer()


def prober(config: Config, parts: list[str]) -> Prober:
    """For the three engines of this box, under the names that ``/readyz`` gives them."""
    return Prober(
        {
            "postgres": lambda: ask_postgres(parts),
            "redis": lambda: ask_redis(config.redis_url),
            "broker": lambda: ask_broker(config.mqtt_url),
        }
    )
