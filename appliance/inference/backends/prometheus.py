"""Figures of an engine's own metrics page."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


def figures(text: str) -> Mapping[str, float]:
    """Each sample by its name, those of several label sets added up; empty where it is no such page."""
    found: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    except ValueError:
        return {}
    return found
