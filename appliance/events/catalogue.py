"""The one catalogue of typed events: the same object goes to the journal, the browser and MQTT."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.events.conversations import (
    CallEnded,
    CallProposed,
    ConversationEvent,
    ConversationSaid,
    TurnBegan,
    TurnEnded,
)
from appliance.events.escalations import (
    EscalationAcknowledged,
    EscalationExhausted,
    EscalationOpened,
    EscalationTold,
    EscalationWithdrawn,
)
from appliance.events.event import Event, UnknownEvent
from appliance.lib.jsontypes import JsonMapping


@dataclass(frozen=True, slots=True)
class RunChanged(Event):
    type: ClassVar[str] = "run.changed"
    run_id: str
    task: str
    state: str
    reason: str = ""
    principal: str = ""
    waiting_for: str = ""

    @property
    def subject(self) -> str:
        return f"run/{self.run_id}"


@dataclass(frozen=True, slots=True)
class StepChanged(Event):
    type: ClassVar[str] = "step.changed"
    run_id: str
    step: str
    state: str
    task: str = ""
    kind: str = ""
    attempt: int = 1
    error: str = ""

    @property
    def subject(self) -> str:
        return f"run/{self.run_id}"


@dataclass(frozen=True, slots=True)
class ShardsChanged(Event):
    """How far the shards of a run's step are; at most one a second for each step."""

    type: ClassVar[str] = "shards.changed"
    run_id: str
    step: str
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def subject(self) -> str:
        return f"run/{self.run_id}"


@dataclass(frozen=True, slots=True)
class OccurrenceRecorded(Event):
    type: ClassVar[str] = "occurrence.recorded"
    occurrence_id: str
    task: str
    trigger: str
    state: str
    reason: str = ""
    run_id: str = ""

    @property
    def subject(self) -> str:
        return f"task/{self.task}"


@dataclass(frozen=True, slots=True)
class TaskChanged(Event):
    type: ClassVar[str] = "task.changed"
    task: str
    change: str
    version: int = 0
    principal: str = ""

    @property
    def subject(self) -> str:
        return f"task/{self.task}"


@dataclass(frozen=True, slots=True)
class MisfireQuestion(Event):
    """People are asked what is to become of missed times, or have answered."""

    type: ClassVar[str] = "misfire.question"
    code: str
    task: str
    trigger: str
    state: str
    missed: int = 0
    answer: str = ""
    principal: str = ""

    @property
    def subject(self) -> str:
        return f"task/{self.task}"


@dataclass(frozen=True, slots=True)
class ApprovalChanged(Event):
    """A person is asked to approve something, somebody has decided, or it has lapsed."""

    type: ClassVar[str] = "approval.changed"
    approval_id: str
    run_id: str
    task: str
    step: str
    state: str
    principal: str = ""

    @property
    def subject(self) -> str:
        return f"approval/{self.run_id}"


@dataclass(frozen=True, slots=True)
class DeliveryChanged(Event):
    type: ClassVar[str] = "delivery.changed"
    item_id: str
    platform: str
    state: str
    run_id: str = ""
    step: str = ""
    error: str = ""

    @property
    def subject(self) -> str:
        return f"run/{self.run_id}" if self.run_id else f"bridge/{self.platform}"


@dataclass(frozen=True, slots=True)
class PlatformDeaf(Event):
    """A chat platform has not answered for a while: what people write there is not heard."""

    type: ClassVar[str] = "platform.deaf"
    platform: str
    message: str = ""

    @property
    def subject(self) -> str:
        return f"bridge/{self.platform}"


@dataclass(frozen=True, slots=True)
class PlatformBack(Event):
    type: ClassVar[str] = "platform.back"
    platform: str

    @property
    def subject(self) -> str:
        return f"bridge/{self.platform}"


@dataclass(frozen=True, slots=True)
class AllStopChanged(Event):
    type: ClassVar[str] = "allstop.changed"
    level: str
    epoch: int
    reason: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True)
class BudgetExceeded(Event):
    """Told once for each budget and each stretch of time that it counts over."""

    type: ClassVar[str] = "budget.exceeded"
    rule: str
    task: str
    reason: str
    run_id: str = ""
    then: str = ""


@dataclass(frozen=True, slots=True)
class AuditAlert(Event):
    type: ClassVar[str] = "audit.alert"
    rule: str
    message: str
    seq: int = 0
    run_id: str = ""
    """The run that the record is about, where it is about one: what the alert starts is judged by its origins too."""


@dataclass(frozen=True, slots=True)
class NetworkLost(Event):
    """A target went away. ``before`` and ``condition`` are the whole network's: online, degraded, offline."""

    type: ClassVar[str] = "network.lost"
    target: str
    reason: str = ""
    condition: str = ""
    before: str = ""

    @property
    def subject(self) -> str:
        return f"network/{self.target}"


@dataclass(frozen=True, slots=True)
class NetworkRecovered(Event):
    """A target is back. ``before`` and ``condition`` are the whole network's: online, degraded, offline."""

    type: ClassVar[str] = "network.recovered"
    target: str
    away_seconds: float = 0.0
    condition: str = ""
    before: str = ""

    @property
    def subject(self) -> str:
        return f"network/{self.target}"


@dataclass(frozen=True, slots=True)
class BoxStarted(Event):
    type: ClassVar[str] = "box.started"
    version: str = ""
    clean: bool = True


@dataclass(frozen=True, slots=True)
class DeviceOnline(Event):
    type: ClassVar[str] = "device.online"
    device: str

    @property
    def subject(self) -> str:
        return f"device/{self.device}"


@dataclass(frozen=True, slots=True)
class DeviceOffline(Event):
    type: ClassVar[str] = "device.offline"
    device: str
    reason: str = ""

    @property
    def subject(self) -> str:
        return f"device/{self.device}"


@dataclass(frozen=True, slots=True)
class PartHealth(Event):
    type: ClassVar[str] = "part.health"
    part: str
    healthy: bool
    message: str = ""

    @property
    def subject(self) -> str:
        return f"part/{self.part}"


@dataclass(frozen=True, slots=True)
class ModelChanged(Event):
    """``change`` is what it became: ``served``, ``withdrawn``, or the state of its engine (``ready``, ``failed``)."""

    type: ClassVar[str] = "model.changed"
    model: str
    change: str
    reason: str = ""
    version: str = ""
    principal: str = ""

    @property
    def subject(self) -> str:
        return f"model/{self.model}"


@dataclass(frozen=True, slots=True)
class FeedMessage(Event):
    """A message in the web admin's own chat, in either direction."""

    type: ClassVar[str] = "feed.message"
    message_id: str
    conversation: str
    text: str
    author: str = ""
    inbound: bool = False
    run_id: str = ""

    @property
    def subject(self) -> str:
        return f"feed/{self.conversation}"


@dataclass(frozen=True, slots=True)
class AccountChanged(Event):
    type: ClassVar[str] = "account.changed"
    username: str
    change: str
    principal: str = ""

    @property
    def subject(self) -> str:
        return f"user/{self.username}"


CATALOGUE: dict[str, type[Event]] = {
    event.type: event
    for event in (
        RunChanged,
        StepChanged,
        ShardsChanged,
        OccurrenceRecorded,
        TaskChanged,
        MisfireQuestion,
        ApprovalChanged,
        DeliveryChanged,
        AllStopChanged,
        BudgetExceeded,
        PlatformDeaf,
        PlatformBack,
        AuditAlert,
        EscalationOpened,
        EscalationTold,
        EscalationAcknowledged,
        EscalationExhausted,
        EscalationWithdrawn,
        NetworkLost,
        NetworkRecovered,
        BoxStarted,
        DeviceOnline,
        DeviceOffline,
        PartHealth,
        ModelChanged,
        FeedMessage,
        AccountChanged,
        ConversationSaid,
        TurnBegan,
        TurnEnded,
        CallProposed,
        CallEnded,
    )
}
OF_CONVERSATIONS = frozenset(
    name for name, event in CATALOGUE.items() if issubclass(event, ConversationEvent)
)
"""Types that only the people of a conversation are told of."""


def event_from_json(type_: str, data: JsonMapping) -> Event:
    """The typed event of a journal row. Raises UnknownEvent."""
    event = CATALOGUE.get(type_)
    if event is None:
        raise UnknownEvent(f"there is no event type {type_!r}")
    return event.from_json(data)
