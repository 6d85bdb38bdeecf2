"""``notification``: tell people. The message goes into the outbox in the same transaction as the result."""

from datetime import timedelta

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
)
from appliance.expressions.fields import MessageField, TextField
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem

KEPT_FOR = timedelta(hours=24)


class NotificationParams(Params):
    platform: str
    """Which bridge: ``telegram``, ``webchat``, ``loopback``, … as named in the platform configuration."""
    message: MessageField
    """The text. ``{% if %}`` and ``{% for %}`` are allowed here."""
    to: TextField | None = None
    """The conversation, where the platform's default one is not meant."""


class NotificationAction(ActionKind[NotificationParams]):
    name = "notification"
    params = NotificationParams
    instant = True

    def effect(self, params: NotificationParams) -> EffectClass:
        return EffectClass.KEYED

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        to = arguments.get("to")
        item = OutboxItem(
            key=context.key,
            platform=str(arguments["platform"]),
            conversation=str(to) if to else None,
            message={"text": str(arguments["message"]), "task": context.task_name},
            run_id=context.run_id,
            step_id=context.step_id,
            expires_at=context.now + KEPT_FOR,
            priority=context.priority,
        )
        status = Status.SUCCEEDED if context.confirm == "handed_over" else Status.HANDED_OVER
        return StepResult(status, None, {"platform": item.platform}, outbox=(item,))
