"""The names that a run's expressions see (DESIGN section 5)."""

from collections.abc import Mapping
from typing import Any

from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.plan import Progress
from appliance.tasks.definition import StepSpec


def step_scope(
    base: JsonObject,
    progress: Progress,
    cache: Mapping[str, JsonValue],
    spec: StepSpec,
) -> dict[str, Any]:
    """The base and what the run has produced so far."""
    scope: dict[str, Any] = {**base, "outputs": progress.outputs, "cache": dict(cache)}
    if spec.undoes:
        scope["output"] = progress.outputs.get(spec.undoes)
    elif progress.has_output:
        scope["output"] = progress.output
    scope["previous"] = cache.get(spec.cache_key) if spec.cache_key else None
    if progress.failure:
        scope["error"] = progress.failure
    return scope
