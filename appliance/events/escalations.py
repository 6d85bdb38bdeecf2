"""Events of escalations: something that somebody has to acknowledge."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.events.event import Event


@dataclass(frozen=True, slots=True)
class EscalationChanged(Event):
    """What the events of an escalation have in common: something that somebody has to acknowledge."""

    escalation_id: str
    code: str
    title: str
    task: str = ""
    step: str = ""
    run_id: str = ""
    stage: int = 0
    """How many stages after the first message have been told."""

    @property
    def subject(self) -> str:
        return f"escalation/{self.escalation_id}"


@dataclass(frozen=True, slots=True)
class EscalationOpened(EscalationChanged):
    type: ClassVar[str] = "escalation.opened"


@dataclass(frozen=True, slots=True)
class EscalationTold(EscalationChanged):
    """Nobody answered in time: the next ones are told."""

    type: ClassVar[str] = "escalation.told"


@dataclass(frozen=True, slots=True)
class EscalationAcknowledged(EscalationChanged):
    type: ClassVar[str] = "escalation.acknowledged"
    principal: str = ""


@dataclass(frozen=True, slots=True)
class EscalationExhausted(EscalationChanged):
    """All stages were told, and nobody has answered."""

    type: ClassVar[str] = "escalation.exhausted"


@dataclass(frozen=True, slots=True)
class EscalationWithdrawn(EscalationChanged):
    """Somebody said that nobody has to answer any more."""

    type: ClassVar[str] = "escalation.withdrawn"
    principal: str = ""
