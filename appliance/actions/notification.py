"""``notification``: tell people. The message goes into the outbox in the same transaction as the result."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import field_validator

from appliance.actions.acknowledging import Acknowledge, stages_of, wanting
from appliance.actions.charts import ChartParams, spec_of
from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    StateReader,
    Status,
    StepContext,
    StepResult,
)
from appliance.expressions.fields import MessageField, TextField
from appliance.lib.duration import parse_duration
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.fields import Duration, refuse
from appliance.lib.priority import Priority
from appliance.lib.said import say
from appliance.outbox.ports import OutboxItem

LONGEST = timedelta(days=30)


class NotificationParams(Params):
    platform: str
    """Which bridge: ``telegram``, ``webchat``, ``loopback``, … as named in the platform configuration."""
    message: MessageField
    """The text. ``{% if %}`` and ``{% for %}`` are allowed here."""
    attach: MessageField | None = None
    """A long text, such as a command's output: under the message where both fit into one of the platform's messages,
    otherwise as the file `log.txt`. A platform without files gets as much of it as fits."""
    chart: ChartParams | None = None
    """Readings that go with the message as a picture, up to the moment of the event. A platform that takes no pictures
    gets in words what it would show; so does everybody while there are no readings."""
    to: TextField | None = None
    """The conversation, where the platform's default one is not meant."""
    valid_for: Duration | None = None
    """How long it may wait for its platform, 30 days at most; then it is not sent any more and the step fails.
    Without it 24 hours, and where it is held (quiet hours, a mute) until it can be told."""
    priority: Priority | None = None
    """`low`, `normal`, `high` or `critical`: which message of one conversation goes first. Without it the task's."""
    acknowledge: Acknowledge | None = None
    """Somebody has to say that they have it: with a button, by `ack` in a chat, or in the web admin. `within` is how
    long each may take, `then` who is told next, one after another."""

    @field_validator("valid_for")
    @classmethod
    def _bounded(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value > LONGEST:
            raise refuse(say("a message is kept for 30 days at most"))
        return value


class NotificationAction(ActionKind[NotificationParams]):
    name = "notification"
    params = NotificationParams
    instant = True

    def effect(self, params: NotificationParams) -> EffectClass:
        return EffectClass.KEYED

    def arguments(
        self, params: NotificationParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        rendered = super().arguments(params, scope, state)
        unsaid = ("attach", "chart", "valid_for", "priority", "acknowledge")
        return {k: v for k, v in rendered.items() if v or k not in unsaid}

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        to, priority, length = arguments.get("to"), arguments.get("priority"), arguments.get("valid_for")
        message: JsonObject = {"text": str(arguments["message"]), "task": context.task_name}
        if arguments.get("attach"):
            message["attach"] = str(arguments["attach"])
        if isinstance(chart := arguments.get("chart"), dict):
            message["chart"] = spec_of(chart, context.now).to_json()
        item = OutboxItem(
            key=context.key,
            platform=str(arguments["platform"]),
            conversation=str(to) if to else None,
            message=message,
            run_id=context.run_id,
            step_id=context.step_id,
            expires_at=context.now + parse_duration(length) if length else None,
            about=f"task/{context.task_name}/{context.step_id}",
            priority=Priority(str(priority)).rank if priority else context.priority,
        )
        status = Status.SUCCEEDED if context.confirm == "handed_over" else Status.HANDED_OVER
        wanted = arguments.get("acknowledge")
        if not isinstance(wanted, dict):
            return StepResult(status, None, {"platform": item.platform}, outbox=(item,))
        item, new = wanting(item, stages_of(wanted), context)
        detail: JsonObject = {"platform": item.platform, "acknowledge": new.code}
        return StepResult(status, None, detail, outbox=(item,), escalations=(new,))
