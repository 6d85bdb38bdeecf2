"""``wait``: go on later. The due time is a row, so a restart changes nothing."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from appliance.actions.contract import (
    ActionKind,
    ActionRefused,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
    Written,
)
from appliance.expressions.fields import TemplateField
from appliance.lib.duration import format_duration, parse_duration
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.said import say

LONGEST = timedelta(days=366)


class WaitParams(Params):
    duration: TemplateField
    """How long: ``30s``, ``5m``, ``1h30m``, or a number of seconds."""


class WaitAction(ActionKind[WaitParams]):
    name = "wait"
    params = WaitParams
    instant = True
    default_timeout = LONGEST.total_seconds()

    def effect(self, params: WaitParams) -> EffectClass:
        return EffectClass.PURE

    def written(self, params: WaitParams) -> Iterable[Written]:
        if params.duration.is_literal:
            yield "duration", lambda: _length(params.duration.source)

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        if kept := context.resumed_from:
            due, length = datetime.fromisoformat(str(kept["due"])), timedelta(seconds=_seconds(kept))
            # No more than its whole length can be left: else the clock was set back, and it begins again.
            due = min(due, context.now + length)
        else:
            length = _length(arguments["duration"])
            due = context.now + length
        if context.now >= due:
            return StepResult.ok(None, due=due.isoformat())
        return StepResult(
            Status.WAITING,
            wake_at=due,
            waiting_for="timer",
            checkpoint={"due": due.isoformat(), "length": length.total_seconds()},
        )


def _length(written: JsonValue) -> timedelta:
    length = parse_duration(written)
    if length > LONGEST:
        said = say(
            "a wait of %(length)s is longer than %(days)s days",
            length=format_duration(length),
            days=LONGEST.days,
        )
        raise ActionRefused(said)
    return length


def _seconds(kept: JsonObject) -> float:
    """How long the wait was to last; its length was not always kept."""
    length = kept.get("length")
    return float(length) if isinstance(length, int | float) else LONGEST.total_seconds()
