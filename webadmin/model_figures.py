"""Figures of the models for Prometheus, as the keeper last signed them."""

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily

from appliance.inference.domain import InstanceState
from appliance.processes.models import PartBeat


class _Since:
    """Counters that somebody else counts: their values are taken as they are."""

    def __init__(self) -> None:
        self.families: list[CounterMetricFamily] = []

    def collect(self) -> list[CounterMetricFamily]:
        return self.families


def model_figures(registry: CollectorRegistry) -> None:
    """Of each model that is served; nothing where no keeper has signed."""
    beat = PartBeat.objects.filter(part="keeper").first()
    models = beat.detail.get("models", {}) if beat else {}
    state = Gauge("millwright_model_state", "1 in the present state", ["model", "state"], registry=registry)
    used = Gauge("millwright_model_in_use", "Leases now", ["model"], registry=registry)
    waiting = Gauge("millwright_model_waiting", "Requests that wait for it", ["model"], registry=registry)
    since = _Since()
    for name, said, key in (
        ("millwright_model_loads", "Loads since the keeper started", "loads"),
        ("millwright_model_failures", "Failures of its engine since then", "failures"),
    ):
        family = CounterMetricFamily(name, said, labels=["model"])
        for model, figures in models.items():
            family.add_metric([model], figures.get(key, 0))
        since.families.append(family)
    registry.register(since)
    for model, figures in models.items():
        for one in InstanceState:
            state.labels(model, one.value).set(figures.get("state") == one.value)
        used.labels(model).set(figures.get("in_use", 0))
        waiting.labels(model).set(figures.get("waiting", 0))
