"""Whether the box is alive, whether every part of it is ready, and its figures for Prometheus."""

import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from appliance.lib.config import Config
from appliance.processes.models import PartBeat

STALE = timedelta(seconds=15)
PROCESSES = ("reactor", "worker", "beat")


@dataclass(frozen=True, slots=True)
class PartState:
    """One part of the box: fine or not, and why."""

    healthy: bool
    message: str = ""


def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers. Says nothing about its parts."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Every part, as JSON: 200 when all are healthy, else 503."""
    parts = part_states()
    ready = all(part.healthy for part in parts.values())
    body = {"ready": ready, "parts": {name: asdict(part) for name, part in parts.items()}}
    return JsonResponse(body, status=200 if ready else 503)


def part_states() -> dict[str, PartState]:
    """The state of each part. Bounded in time, and never raises."""
    config: Config = settings.CONFIG
    states = {"postgres": _postgres(), "redis": _redis(config), "broker": _broker(config)}
    if states["postgres"].healthy:
        states.update(_processes())
    else:
        states.update({name: PartState(False, "not known: the database is away") for name in PROCESSES})
    return states


def _postgres() -> PartState:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        connection.close()
        return PartState(False, f"no answer: {str(error).splitlines()[0][:200]}")
    return PartState(True)


def _redis(config: Config) -> PartState:
    try:
        with redis.Redis.from_url(config.redis_url, socket_timeout=1, socket_connect_timeout=1) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return PartState(False, f"no answer: {str(error)[:200]}")
    return PartState(True)


def _broker(config: Config) -> PartState:
    parts = urlsplit(config.mqtt_url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 1883), timeout=1):
            return PartState(True)
    except OSError as error:
        return PartState(False, f"no connection: {error.strerror or error}")


def _processes() -> dict[str, PartState]:
    now = datetime.now(UTC)
    beats = {row.part: row for row in PartBeat.objects.filter(part__in=PROCESSES)}
    found = {}
    for name in PROCESSES:
        row = beats.get(name)
        if row is None:
            found[name] = PartState(False, "has not started yet")
        elif now - row.at > STALE:
            found[name] = PartState(False, f"no sign of life for {int((now - row.at).total_seconds())} s")
        else:
            found[name] = PartState(row.healthy, "" if row.healthy else str(row.detail.get("message", "")))
    return found


def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, read from the database at each scrape."""
    registry = CollectorRegistry()
    up = Gauge("millwright_part_healthy", "1 when the part is healthy", ["part"], registry=registry)
    for name, part in part_states().items():
        up.labels(name).set(part.healthy)
    runs = Gauge("millwright_runs", "Runs in each unfinished state", ["state"], registry=registry)
    received = Gauge("millwright_mqtt_received", "MQTT messages since the reactor started", registry=registry)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT state, count(*) FROM runs_run WHERE state IN ('queued', 'running', 'waiting') GROUP BY state"
            )
            counts = dict(cursor.fetchall())
        for state in ("queued", "running", "waiting"):
            runs.labels(state).set(counts.get(state, 0))
        beat = PartBeat.objects.filter(part="reactor").first()
        received.set(beat.detail.get("received", 0) if beat else 0)
    except DatabaseError:
        connection.close()
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
