"""What starts a task."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from appliance.bus.places import place_of
from appliance.bus.topics import parse_pattern
from appliance.expressions.fields import ConditionField
from appliance.lib.digest import sha256_hex
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject
from appliance.lib.located.fields import check_zone
from appliance.lib.said import say
from appliance.tasks.cron import first_instant_of, normalise_cron
from appliance.tasks.definition.base import (
    BrokerName,
    Duration,
    HeaderName,
    Identifier,
    Model,
    Name,
    Slug,
    ToolName,
    checked,
    refuse,
)
from appliance.tasks.definition.chat import ChatSpec
from appliance.tasks.definition.events import check_event_type
from appliance.tasks.definition.reserved import RESERVED
from appliance.tasks.definition.vocabulary import PayloadFormat, TriggerKind, WebhookAuth

SHORTEST_PERIOD = timedelta(seconds=1)
LONGEST_PERIOD = timedelta(days=3660)
LONGEST_HOLD = timedelta(days=30)
LONGEST_WAIT = timedelta(minutes=10)
NO_TIME = timedelta(0)


def _check_pattern(text: str) -> str:
    for name in parse_pattern(text).names:
        if name in RESERVED:
            raise refuse(
                say("{%(name)s} would hide the name `%(name)s`", name=name),
                say("choose another name for this level"),
            )
    return text


class MqttSpec(Model):
    topic: Annotated[str, checked(_check_pattern)]
    """Topic pattern. `+` and `#` as in MQTT; `{name}` is one level that expressions see by that name."""
    payload: PayloadFormat = PayloadFormat.JSON
    """How the message is read; one that does not fit is counted, and does not trigger."""
    broker: BrokerName | None = None
    """Which of the brokers connected beside the box's own; without it, the own."""


class WebhookSpec(Model):
    name: Slug
    """The address is `/hooks/<name>`."""
    auth: WebhookAuth = WebhookAuth.BEARER
    """How callers prove themselves: `bearer` token, `basic` password, `hmac` of the body as GitHub does it,
    or `hmac_timestamp` over time stamp, nonce and body."""
    secret: Slug | None = None
    """The name of the secret; `webhook-<name>` where none is given."""
    header: HeaderName | None = None
    """The header that carries the signature, where it is not the usual one."""
    tolerance: Duration = timedelta(minutes=5)
    """How old the time stamp of `hmac_timestamp` may be."""
    dedupe: HeaderName | None = None
    """The header that names a delivery, as `X-GitHub-Delivery`: a repeat is answered, not run."""
    payload: PayloadFormat = PayloadFormat.JSON
    """How the body is read."""

    @property
    def secret_name(self) -> str:
        return self.secret or f"webhook-{self.name}"


class McpSpec(Model):
    tool: ToolName
    """The name by which other programs call it."""
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    """What they are told that it is for; the task's own description where nothing stands here."""
    wait: Duration = timedelta(seconds=60)
    """How long a call waits for the end of its run. What has not ended by then goes on, and is asked for again."""

    @field_validator("wait")
    @classmethod
    def _bound_wait(cls, value: timedelta) -> timedelta:
        if value > LONGEST_WAIT:
            raise refuse(say("a call waits for at most 10 minutes"))
        return value


class EndState(StrEnum):
    """How a run may end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    POISONED = "poisoned"


class TaskSpec(Model):
    name: Name
    """The task whose runs are watched."""
    state: EndState = EndState.SUCCEEDED
    """The end that counts: `succeeded`, `failed`, `cancelled`, `undone` or `poisoned`."""


class Trigger(Model):
    """One of the kinds `cron`, `every`, `at`, `mqtt`, `webhook`, `chat`, `event`, `task`, `mcp`, `manual`, and what
    narrows it."""

    id: Identifier = ""
    """Its name in runs and traces. Without one it is named after what it says, so that its place in the list
    does not matter."""
    timezone: Annotated[str, checked(check_zone)] | None = None
    """Of `cron` and `at`; UTC where none is given."""
    cron: Annotated[str, checked(normalise_cron)] | None = None
    """Five fields (minute, hour, day of month, month, day of week), or `@daily` and its like."""
    every: Duration | None = None
    """A period, counted from 1970-01-01 00:00 UTC: `every: 1h` is due at each full hour."""
    at: Annotated[datetime, PlainSerializer(lambda at: at.isoformat(), return_type=str)] | None = None
    """Once: `2026-05-01 08:00`, in `timezone` where it names no offset."""
    mqtt: MqttSpec | None = None
    """A message on a topic."""
    webhook: WebhookSpec | None = None
    """An HTTP request."""
    chat: ChatSpec | None = None
    """A sentence that a known person says in a chat."""
    event: Annotated[str, checked(check_event_type)] | None = None
    """Something that happened on the box, as `network.recovered`."""
    task: TaskSpec | None = None
    """The end of a run of another task; `event.run_id` names it. At most eight runs start each other in a row."""
    mcp: McpSpec | None = None
    """A program with a token calls it as its tool; its `vars` are what that gives."""
    manual: Literal[True] | None = None
    """Started by a person, or called by another task. Every task can be; this says that nothing else does."""
    when: ConditionField | None = None
    """Decided on each event: only a yes starts a run. The last ones it said no to are kept as traces."""
    for_: Duration | None = Field(default=None, alias="for")
    """How long `when` must hold without a no in between; `mqtt` only. Each set of captures holds by itself."""
    debounce: Duration | None = None
    """Fire once when nothing has come for so long, with the last event; `mqtt`, `webhook` and `event` only."""
    unattended: bool = False
    """Nobody is asked in the runs that it starts: where a step would need an approval, it fails at once."""

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        short = {key: {wanted: value[key]} for key, wanted in _SHORT if isinstance(value.get(key), str)}
        manual = {"manual": True} if "manual" in value and value["manual"] in (None, {}, True) else {}
        return {**value, **short, **manual}

    @field_validator("at", mode="before")
    @classmethod
    def _read_at(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        try:
            at = datetime.fromisoformat(str(value).strip())
            zone = ZoneInfo(info.data.get("timezone") or "UTC")
            return at.astimezone(UTC) if at.tzinfo else first_instant_of(at, zone)
        except (ValueError, OverflowError):
            raise refuse(
                say("%(value)r is not a time", value=value),
                say("as in 2026-05-01 08:00 or 2026-05-01T08:00:00+02:00"),
            ) from None

    @field_validator("every")
    @classmethod
    def _bound_every(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and not SHORTEST_PERIOD <= value <= LONGEST_PERIOD:
            raise refuse(say("a period is between 1s and 10 years"))
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "Trigger":
        kinds = [kind.value for kind in TriggerKind if getattr(self, kind.value) is not None]
        if len(kinds) != 1:
            said = say("this trigger does not say what starts the task")
            if kinds:
                said = say("this trigger says %(kinds)s", kinds=" and ".join(kinds))
            raise refuse(said, say("exactly one of %(kinds)s", kinds=", ".join(TriggerKind)))
        if self.timezone is not None and kinds[0] not in ("cron", "at"):
            raise refuse(say("only cron and at have a timezone"))
        if self.when is not None and kinds[0] not in _EVENTS:
            raise refuse(
                say("`when` looks at an event, %(kind)s has none", kind=kinds[0]),
                say("use condition: in the actions"),
            )
        self._check_waiting(kinds[0])
        return self

    def _check_waiting(self, kind: str) -> None:
        if self.debounce is not None and kind not in _BURSTS:
            raise refuse(
                say("`debounce` waits for the end of a burst of events, %(kind)s has none", kind=kind)
            )
        if max(self.for_ or NO_TIME, self.debounce or NO_TIME) > LONGEST_HOLD:
            raise refuse(say("`for` and `debounce` are at most 30 days"))
        if self.for_ is None:
            return
        if self.debounce is not None:
            raise refuse(say("`for` and `debounce` exclude each other"), say("make two triggers of it"))
        if self.mqtt is None or self.when is None:
            raise refuse(
                say("`for` needs an mqtt trigger with `when`"),
                say("it says how long that condition must hold"),
            )
        pattern = parse_pattern(self.mqtt.topic)
        if "#" in pattern.filter or pattern.filter.count("+") > len(pattern.names):
            raise refuse(
                say("`for` needs a name for each level that varies"),
                say("write {pump} instead of +: each name's value then holds by itself"),
            )

    @property
    def waits(self) -> timedelta | None:
        """How long it looks on before it fires: the length of its ``for`` or ``debounce``."""
        return self.for_ or self.debounce

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def kind(self) -> TriggerKind:
        return next(kind for kind in TriggerKind if getattr(self, kind.value) is not None)

    @cached_property
    def captures(self) -> tuple[str, ...]:
        """The names that the topic gives to its levels, or the sentence to its words."""
        if self.chat is not None:
            return self.chat.phrases[0].names if self.chat.phrases else ()
        return parse_pattern(self.mqtt.topic).names if self.mqtt else ()

    def canonical(self) -> JsonObject:
        """The one JSON form of what this trigger says."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def identified(self) -> "Trigger":
        """Itself with an id: the given one, or the kind and the digest of what it says."""
        if self.id:
            return self
        said = {key: value for key, value in self.canonical().items() if key != "unattended"}
        return self.model_copy(update={"id": f"{self.kind.value}-{sha256_hex(said)[:12]}"})

    def __str__(self) -> str:
        said = {
            TriggerKind.CRON: self.cron,
            TriggerKind.EVERY: self.every and format_duration(self.every),
            TriggerKind.AT: self.at and f"{self.at:%F %R}",
            TriggerKind.MQTT: self.mqtt and place_of(self.mqtt.broker or "", self.mqtt.topic),
            TriggerKind.WEBHOOK: self.webhook and self.webhook.name,
            TriggerKind.CHAT: self.chat and (self.chat.sentences[0] if self.chat.sentences else "otherwise"),
            TriggerKind.EVENT: self.event,
            TriggerKind.MCP: self.mcp and self.mcp.tool,
            TriggerKind.TASK: self.task and f"{self.task.name} {self.task.state}",
        }.get(self.kind)
        return f"{self.kind.value} {said}" if said else str(self.kind.value)


_SHORT = (("mqtt", "topic"), ("webhook", "name"), ("chat", "pattern"), ("task", "name"), ("mcp", "tool"))
_BURSTS = (TriggerKind.MQTT, TriggerKind.WEBHOOK, TriggerKind.EVENT, TriggerKind.TASK)
_EVENTS = (*_BURSTS, TriggerKind.CHAT)


def long_form(text: str) -> JsonObject:
    """``cron * * * * *``, ``every 5m``, ``mqtt a/b`` … as the mapping it stands for. Raises a refusal."""
    kind, _, rest = text.strip().partition(" ")
    if kind == TriggerKind.MANUAL and not rest.strip():
        return {"manual": True}
    if kind == TriggerKind.MANUAL or not rest.strip():
        raise refuse(
            say("%(text)r is not a trigger", text=text),
            say('as in "cron 0 6 * * *", "every 5m", "mqtt plant/+/temp"'),
        )
    return {kind: rest.strip()}
