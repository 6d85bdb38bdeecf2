"""Computes a step's expressions over what the run knows, the cache, and the last values of topics."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from appliance.actions.contract import Kind, Params
from appliance.bus.services import read_many, read_state
from appliance.cache import services as cache
from appliance.expressions import ExpressionError, StateNeeded, truth
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.effects import acts
from appliance.runs.ledger import Ledger
from appliance.runs.scope import step_scope
from appliance.runs.walk import Walk
from appliance.safety.plant_state.domain import Closed, stricter
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.header import Gate

STATE_READS = 20
"""How many different topics one expression may look up with ``state()``."""


class Renderer:
    """Expressions are synchronous; what they need of the database is fetched between two tries."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def scope(self, walk: Walk, spec: StepSpec) -> dict[str, Any]:
        """The names that a step sees."""
        keys = set(spec.cache_keys)
        if not keys:
            return step_scope(walk.base, walk.progress, {}, spec)
        async with self._ledger.pool.connection() as connection:
            values = await cache.read(connection, keys)
        return step_scope(walk.base, walk.progress, values, spec)

    async def plant_state(self, walk: Walk, spec: StepSpec, scope: dict[str, Any]) -> Closed | None:
        """Whether the task's or the step's own condition on the plant closes the gate for this step now.

        A value that is stale or absent closes it, whatever the condition would make of it.
        """
        if not acts(spec):
            return None
        own = (("task", walk.definition.gate), ("step", spec.gate))
        found = [await self._closed(place, gate, scope) for place, gate in own if gate is not None]
        return stricter(one for one in found if one is not None)

    async def _closed(self, place: str, gate: Gate, scope: dict[str, Any]) -> Closed | None:
        try:
            if truth(await self.render(gate.plant_state.render, scope, strict=True)):
                return None
            said = f"the plant's state does not allow it: {gate.plant_state.source}"
        except MillwrightError as error:
            said = f"the plant's state is not known: {error}"
        return Closed(f"plant_state.{place}", said, gate.then)

    async def arguments(self, kind: Kind, params: Params, scope: dict[str, Any]) -> JsonObject:
        """The action as it will be decided on and performed."""
        rendered = await self.render(partial(kind.arguments, params), scope)
        return await kind.pinned(rendered, self._ledger.transaction)

    async def states(
        self, walk: Walk, spec: StepSpec, arguments: Callable[..., Any], scope: dict[str, Any]
    ) -> JsonObject:
        """What an approval is bound to: the last values of all topics that the action's arguments and the
        gates of task and step look up. (A step's condition is evaluated afresh when the run goes on.)"""
        seen: set[str] = set()
        gates = [gate for gate in (walk.definition.gate, spec.gate) if gate is not None]
        named = [arguments, *(gate.plant_state.render for gate in gates)]
        for render in named:
            with suppress(MillwrightError):
                await self.render(render, scope, seen=seen)
        if not seen:
            return {}
        async with self._ledger.pool.connection() as connection:
            return await read_many(connection, sorted(seen))

    async def render(
        self,
        render: Callable[..., Any],
        scope: dict[str, Any],
        *,
        strict: bool = False,
        seen: set[str] | None = None,
    ) -> Any:
        """Render; each topic that ``state()`` asks for is fetched once and the expression tried again.

        With ``strict`` a topic without a fresh value is an error instead of none. ``seen`` takes their names.
        """
        known: dict[str, JsonValue] = {}

        def reader(topic: str, max_age: timedelta | None) -> JsonValue:
            key = f"{topic}|{max_age.total_seconds() if max_age else ''}"
            if key not in known:
                raise StateNeeded(topic, max_age)
            return known[key]

        for _ in range(STATE_READS):
            try:
                return render(scope, state=reader)
            except StateNeeded as needed:
                if seen is not None:
                    seen.add(needed.topic)
                async with self._ledger.pool.connection() as connection:
                    value = await read_state(connection, needed.topic, needed.max_age, self._clock.now())
                if strict and value is None:
                    raise ExpressionError(f"{needed.topic} has no value that is recent enough") from None
                age = needed.max_age.total_seconds() if needed.max_age else ""
                known[f"{needed.topic}|{age}"] = value
        raise ExpressionError(f"state() may look up at most {STATE_READS} topics here", 0)
