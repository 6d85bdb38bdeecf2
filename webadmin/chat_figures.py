"""Figures of the chat platforms and of the outbox, for Prometheus: two queries at each scrape."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge

from appliance.bridges.liveness import liveness
from appliance.outbox.domain import BreakerState
from appliance.outbox.services import TargetStatistics, target_statistics


def chat_figures(registry: CollectorRegistry, now: datetime) -> None:
    """Every platform that is switched on, and every one that has or had messages."""
    statistics = target_statistics(now)
    quiet = _platforms(registry, now) - {one.platform for one in statistics}
    _waiting(registry, statistics, quiet, now)
    _sending(registry, statistics)


def _platforms(registry: CollectorRegistry, now: datetime) -> set[str]:
    """Whether each hears. Gives their names."""
    labels = ["platform"]
    up = Gauge("millwright_platform_up", "0 when the platform is deaf", labels, registry=registry)
    deaf = Gauge("millwright_platform_deaf_seconds", "For how long; 0 when not", labels, registry=registry)
    trip = Gauge(
        "millwright_platform_round_trip_ms", "The last round trip that came back", labels, registry=registry
    )
    answered = Gauge(
        "millwright_platform_answered_timestamp_seconds", "When that was", labels, registry=registry
    )
    found = liveness(now)
    for one in found:
        up.labels(one.name).set(not one.is_deaf)
        deaf.labels(one.name).set(one.deaf_seconds(now))
        if one.round_trip_ms is not None:
            trip.labels(one.name).set(one.round_trip_ms)
        if one.answered_at is not None:
            answered.labels(one.name).set(one.answered_at.timestamp())
    return {one.name for one in found}


def _waiting(
    registry: CollectorRegistry, statistics: Iterable[TargetStatistics], quiet: Iterable[str], now: datetime
) -> None:
    """What waits for each, and for how long it has."""
    labels = ["platform"]
    waiting = Gauge("millwright_outbox_waiting", "Messages that wait", labels, registry=registry)
    held = Gauge(
        "millwright_outbox_held", "Messages held by quiet hours and mutes", labels, registry=registry
    )
    urgent = Gauge("millwright_outbox_urgent", "Of them, those of a high priority", labels, registry=registry)
    targets = Gauge(
        "millwright_outbox_conversations", "Conversations with messages waiting", labels, registry=registry
    )
    oldest = Gauge(
        "millwright_outbox_oldest_seconds", "Age of the oldest of them; 0 for none", labels, registry=registry
    )
    for name in quiet:
        for gauge in (waiting, held, urgent, targets, oldest):
            gauge.labels(name).set(0)
    for one in statistics:
        waiting.labels(one.platform).set(one.waiting + one.sending)
        held.labels(one.platform).set(one.held)
        urgent.labels(one.platform).set(one.urgent)
        targets.labels(one.platform).set(one.conversations)
        age = (now - one.oldest_at).total_seconds() if one.oldest_at else 0.0
        oldest.labels(one.platform).set(max(0.0, age))


def _sending(registry: CollectorRegistry, statistics: Iterable[TargetStatistics]) -> None:
    """What became of them, and how the sender sees each platform."""
    sending = Gauge("millwright_outbox_sending", "Messages under way", ["platform"], registry=registry)
    breaker = Gauge(
        "millwright_outbox_breaker", "1 in the present state", ["platform", "state"], registry=registry
    )
    ended = Gauge("millwright_outbox_ended", "Messages that ended so", ["platform", "end"], registry=registry)
    postponed = Gauge(
        "millwright_outbox_postponed", "Attempts that did not get through", ["platform"], registry=registry
    )
    last = Gauge(
        "millwright_outbox_delivered_timestamp_seconds",
        "When the last message was confirmed",
        ["platform"],
        registry=registry,
    )
    for one in statistics:
        sending.labels(one.platform).set(one.sending)
        postponed.labels(one.platform).set(one.postponed)
        for state in BreakerState:
            breaker.labels(one.platform, state.value).set(state is one.breaker)
        for end, count in (("delivered", one.delivered), ("failed", one.failed), ("expired", one.expired)):
            ended.labels(one.platform, end).set(count)
        if one.last_delivered_at:
            last.labels(one.platform).set(one.last_delivered_at.timestamp())
