"""``acknowledge`` of a notification: who has to say that they have it, and who is told next when nobody does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from appliance.actions.contract import StepContext
from appliance.bridges.receivers import Receivers, platform_in
from appliance.escalations.domain import MOST_STAGES, PRIORITY, NewEscalation, Stage, chain
from appliance.escalations.fields import StageLength
from appliance.escalations.notices import asking
from appliance.lib.jsontypes import JsonMapping
from appliance.lib.located.fields import refuse
from appliance.lib.said import say
from appliance.outbox.ports import OutboxItem


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, frozen=True, use_attribute_docstrings=True
    )


def _alone(value: Any) -> Any:
    """``role:admin`` alone, or a list of them, is one stage."""
    return {"to": value} if isinstance(value, str | list) else value


class NextToTell(_Part):
    """Who is told when nobody before them has acknowledged."""

    platform: str | None = None
    """Where `to` is a conversation: its platform."""
    to: Receivers | None = None
    """`role:admin`, `user:ana`, a platform, `telegram/123`, or with `platform` a conversation of it; or several."""
    within: StageLength | None = None
    """How long they may take, where that is not the same for all."""

    @model_validator(mode="after")
    def _somebody(self) -> "NextToTell":
        if self.to is None and self.platform is None:
            raise refuse(say("this stage names nobody"), say("as in `role:admin` or `telegram/123`"))
        if self.platform and any(not platform_in(one) for one in self.to or ()):
            raise refuse(say("a role or a person is on no one platform"), say("leave `platform` out"))
        return self

    @property
    def receivers(self) -> tuple[str, ...]:
        if self.platform is None:
            return self.to or ()
        return tuple(f"{self.platform}/{one}" for one in self.to) if self.to else (self.platform,)


class Acknowledge(_Part):
    """How long each may take, and who is told next."""

    within: StageLength
    """How long whoever is told may take to acknowledge, as `10m`; the same for each of `then`."""
    then: Annotated[
        tuple[Annotated[NextToTell, BeforeValidator(_alone)], ...], Field(max_length=MOST_STAGES)
    ] = ()
    """Who is told next, one after another. At the end the box says that nobody has acknowledged."""


def stages_of(rendered: JsonMapping) -> tuple[Stage, ...]:
    """The stages of a rendered ``acknowledge``; lengths are seconds there."""
    wait, stages = float(str(rendered["within"])), []
    then = rendered.get("then")
    for one in then if isinstance(then, list) else ():
        if isinstance(one, dict):
            stages.append(Stage(wait, _receivers(one)))
            wait = float(str(one.get("within") or rendered["within"]))
    return chain(stages, wait)


def _receivers(rendered: Mapping[str, Any]) -> tuple[str, ...]:
    to, platform = rendered.get("to") or (), rendered.get("platform")
    return NextToTell(platform=platform, to=tuple(to) or None).receivers


def wanting(
    item: OutboxItem, stages: tuple[Stage, ...], context: StepContext
) -> tuple[OutboxItem, NewEscalation]:
    """The message with its question, and the escalation that it is the first one of."""
    new = NewEscalation(
        key=f"step/{context.key}",
        about=item.about,
        text=str(item.message["text"]),
        stages=stages,
        opened_at=context.now,
        priority=max(PRIORITY, item.priority),
        messages=(item.id,),
        task=context.task_name,
        run_id=context.run_id,
        step_id=context.step_id,
    )
    # What waits for an answer always stands alone: it is in no digest, and nothing holds it.
    return replace(item, message=asking(item.message, new.code), about=""), new
