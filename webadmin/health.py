"""Whether the box is alive, whether every part of it is ready, and its figures for Prometheus."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from appliance.lib.config import Config
from appliance.processes.models import PartBeat
from webadmin.probes import Prober, Sign, prober

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
    config: Config = settings.CONFIG
    body = {
        "ready": ready,
        "durability": config.durability,
        "parts": {name: asdict(part) for name, part in parts.items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


def part_states() -> dict[str, PartState]:
    """The state of each part. Bounded in time, and never raises."""
    answers = _prober().ask()
    states = {name: PartState(not answer.problem, answer.problem) for name, answer in answers.items()}
    if states["postgres"].healthy:
        states.update(_processes(answers["postgres"].found))
    else:
        states.update({name: PartState(False, "not known: the database is away") for name in PROCESSES})
    return states


@cache
def _prober() -> Prober:
    config: Config = settings.CONFIG
    return prober(config, list(PROCESSES))


def _processes(signs: dict[str, Sign]) -> dict[str, PartState]:
    now = datetime.now(UTC)
    found = {}
    for name in PROCESSES:
        sign = signs.get(name)
        if sign is None:
            found[name] = PartState(False, "has not started yet")
        elif now - sign.at > STALE:
            found[name] = PartState(False, f"no sign of life for {int((now - sign.at).total_seconds())} s")
        else:
            found[name] = PartState(sign.healthy, "" if sign.healthy else str(sign.detail.get("message", "")))
    return found


def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, read from the database at each scrape."""
    registry = CollectorRegistry()
    up = Gauge("millwright_part_healthy", "1 when the part is healthy", ["part"], registry=registry)
    parts = part_states()
    for name, part in parts.items():
        up.labels(name).set(part.healthy)
    runs = Gauge("millwright_runs", "Runs in each unfinished state", ["state"], registry=registry)
    received = Gauge("millwright_mqtt_received", "MQTT messages since the reactor started", registry=registry)
    if parts["postgres"].healthy:
        try:
            _read_figures(runs, received)
        except DatabaseError:
            connection.close()
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _read_figures(runs: Gauge, received: Gauge) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM runs_run WHERE split_id IS NULL "
            "AND state IN ('queued', 'running', 'waiting') GROUP BY state"
        )
        counts = dict(cursor.fetchall())
    for state in ("queued", "running", "waiting"):
        runs.labels(state).set(counts.get(state, 0))
    beat = PartBeat.objects.filter(part="reactor").first()
    received.set(beat.detail.get("received", 0) if beat else 0)
