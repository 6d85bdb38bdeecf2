"""Whether the box is alive, whether every part of it is ready, and its figures for Prometheus."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from appliance.bus.models import Broker, SetAside
from appliance.lib.config import Config
from appliance.outbox.domain import BreakerState
from appliance.outbox.network.domain import Reach
from appliance.outbox.network.services import network_state
from appliance.outbox.services import target_statistics
from appliance.processes.guard.presence import guard_states
from appliance.processes.models import PartBeat
from appliance.processes.part_checks import SIGNING, PartState, disk_state, silence, spawner_state
from appliance.processes.signs import BROKER_PART
from webadmin.model_figures import model_figures
from webadmin.probes import Prober, Sign, prober


def is_ready(parts: Mapping[str, PartState]) -> bool:
    """Whether everything that the box cannot do without is healthy."""
    return all(part.healthy for part in parts.values() if part.required)


def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers. Says nothing about its parts."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Every part, as JSON: 200 when all that the box needs are healthy, else 503. A network that is away does
    not make it unready: the box goes on without."""
    parts = part_states()
    ready = is_ready(parts)
    config: Config = settings.CONFIG
    body = {
        "ready": ready,
        "durability": config.durability,
        "parts": {name: asdict(part) for name, part in parts.items()},
        "network": _network() if parts["postgres"].healthy else None,
        "messages_set_aside": _set_aside() if parts["postgres"].healthy else None,
    }
    return JsonResponse(body, status=200 if ready else 503)


def part_states() -> dict[str, PartState]:
    """The state of each part. Bounded in time, and never raises."""
    answers = _prober().ask()
    states = {name: PartState(not answer.problem, answer.problem) for name, answer in answers.items()}
    states["spawner"] = spawner_state(settings.CONFIG)
    states |= guard_states(settings.CONFIG)
    states["disk"] = disk_state(settings.CONFIG)
    if states["postgres"].healthy:
        states.update(_processes(answers["postgres"].found))
    else:
        states.update({name: PartState(False, "not known: the database is away") for name in SIGNING})
    return states


@cache
def _prober() -> Prober:
    config: Config = settings.CONFIG
    return prober(config, list(SIGNING))


def _processes(signs: dict[str, Sign]) -> dict[str, PartState]:
    now = datetime.now(UTC)
    own = {name: _of_sign(signs.get(name), now, required=True) for name in SIGNING}
    brokers = (part for part in sorted(signs) if part.startswith(BROKER_PART))
    return own | {part: _of_sign(signs[part], now, required=False) for part in brokers}


def state_of_brokers() -> dict[str, PartState]:
    """The state of each further broker that is switched on, as the reactor last said it."""
    now = datetime.now(UTC)
    names = Broker.objects.filter(enabled=True).values_list("name", flat=True)
    rows = PartBeat.objects.filter(part__startswith=BROKER_PART)
    signs = {row.part: Sign(row.at, row.healthy, row.detail) for row in rows}
    parts = [f"{BROKER_PART}{name}" for name in names]
    return {part: _of_sign(signs.get(part), now, required=False) for part in parts}


def _of_sign(sign: Sign | None, now: datetime, *, required: bool) -> PartState:
    if sign is None:
        return PartState(False, "has not started yet", required)
    if silent := silence(sign.at, now):
        return PartState(False, silent, required)
    return PartState(sign.healthy, "" if sign.healthy else str(sign.detail.get("message", "")), required)


def _network() -> dict[str, object] | None:
    try:
        state = network_state()
    except DatabaseError:
        connection.close()
        return None
    return {"condition": state.condition.value, "away": [target.name for target in state.away]}


def _set_aside() -> int | None:
    try:
        return SetAside.objects.count()
    except DatabaseError:
        connection.close()
        return None


def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, read from the database at each scrape."""
    registry = CollectorRegistry()
    up = Gauge("millwright_part_healthy", "1 when the part is healthy", ["part"], registry=registry)
    parts = part_states()
    for name, part in parts.items():
        up.labels(name).set(part.healthy)
    runs = Gauge("millwright_runs", "Runs in each unfinished state", ["state"], registry=registry)
    received = Gauge("millwright_mqtt_received", "MQTT messages since the reactor started", registry=registry)
    commands = Gauge(
        "millwright_mqtt_commands",
        "Commands by MQTT since the reactor started",
        ["outcome"],
        registry=registry,
    )
    events = Gauge(
        "millwright_mqtt_events", "The box's events on MQTT since then", ["outcome"], registry=registry
    )
    theirs = Gauge(
        "millwright_broker_received", "Of them, those of each further broker", ["broker"], registry=registry
    )
    aside = Gauge("millwright_mqtt_set_aside", "Messages that no try could handle", registry=registry)
    if parts["postgres"].healthy:
        try:
            aside.set(SetAside.objects.count())
            _read_figures(runs, received, theirs)
            _read_bus_figures(commands, events)
            _network_figures(registry)
            model_figures(registry)
        except DatabaseError:
            connection.close()
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _read_figures(runs: Gauge, received: Gauge, theirs: Gauge) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM runs_run WHERE split_id IS NULL "
            "AND state IN ('queued', 'running', 'waiting') GROUP BY state"
        )
        counts = dict(cursor.fetchall())
    for state in ("queued", "running", "waiting"):
        runs.labels(state).set(counts.get(state, 0))
    for beat in PartBeat.objects.filter(Q(part="reactor") | Q(part__startswith=BROKER_PART)):
        gauge = received if beat.part == "reactor" else theirs.labels(beat.part.removeprefix(BROKER_PART))
        gauge.set(beat.detail.get("received", 0))


def _read_bus_figures(commands: Gauge, events: Gauge) -> None:
    beat = PartBeat.objects.filter(part="reactor").first()
    for gauge, kind, outcomes in (
        (commands, "commands", ("done", "refused")),
        (events, "events", ("published", "left_out")),
    ):
        for outcome in outcomes:
            gauge.labels(outcome).set(beat.detail.get(f"{kind}_{outcome}", 0) if beat else 0)


def _network_figures(registry: CollectorRegistry) -> None:
    """What can be reached, and what waits for it."""
    up = Gauge(
        "millwright_network_up", "1 when the target can be reached", ["target", "kind"], registry=registry
    )
    for target in network_state().targets:
        if target.state is not Reach.UNKNOWN:
            up.labels(target.name, target.kind.value).set(target.state is Reach.UP)
    waiting = Gauge("millwright_outbox_waiting", "Messages that wait", ["platform"], registry=registry)
    breaker = Gauge(
        "millwright_outbox_breaker", "1 in the present state", ["platform", "state"], registry=registry
    )
    ended = Gauge("millwright_outbox_ended", "Messages that ended so", ["platform", "end"], registry=registry)
    for one in target_statistics():
        waiting.labels(one.platform).set(one.waiting + one.sending)
        for state in BreakerState:
            breaker.labels(one.platform, state.value).set(state is one.breaker)
        for end, count in (("delivered", one.delivered), ("failed", one.failed), ("expired", one.expired)):
            ended.labels(one.platform, end).set(count)
