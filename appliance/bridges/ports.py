"""The contract of a bridge: one folder per platform with a ``bridge.py`` that exposes ``BRIDGE``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, ConfigDict, Field

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.digests import DigestChoice, DigestConfig
from appliance.bridges.guides import Guide
from appliance.bridges.limits import MessageLimit
from appliance.bridges.messages import Attachment, Button, ChatMessage, InboundMessage, RawEvent
from appliance.bridges.quiet import QuietHours
from appliance.bridges.secrets import PROXIES, Proxy
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Pace, Receipt


class ProbeState(StrEnum):
    OK = "ok"
    WAITING = "waiting"
    """A person has to do something: a token, a recipient."""
    AWAY = "away"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a round trip to the platform."""

    state: ProbeState
    message: str
    identity: str = ""
    round_trip_ms: float | None = None

    def to_json(self) -> JsonObject:
        return {
            "state": self.state.value,
            "message": self.message,
            "identity": self.identity,
            "round_trip_ms": self.round_trip_ms,
        }


class Inbox(Protocol):
    """The durable door for inbound events of one bridge."""

    async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
        """Commit events, and the position after them, together; then handle them. Gives how many were new."""
        ...

    async def cursor(self) -> str | None:
        """The last committed position; None when there is none or it is too old to be of use."""
        ...


class PlatformConfig(BaseModel):
    """Base of a platform's own keys in the configuration; unknown keys are refused.

    The form in the web admin is made of it: a field's ``title`` is its label, the text under it its help.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(title="Name")
    """What tasks call it."""
    kind: str | None = Field(None, title="Kind")
    """Which bridge; the name itself when absent, so that two entries of one kind can have two names."""
    enabled: bool = Field(True, title="Switched on")
    """While it is off, nothing is sent or received there, and messages wait."""
    limit: MessageLimit | None = Field(None, title="Limit")
    """How many messages the box may send there, where that is to be less than the platform bears. What comes beyond
    it waits."""
    quiet: QuietHours | None = Field(None, title="Quiet hours")
    """When what is not urgent waits for a better time."""
    digest: DigestChoice = Field(DigestConfig(), title="Digest")
    """When many messages about the same are told as one; `false`: never."""


class RemoteConfig(PlatformConfig):
    """Of a platform that is reached over the network."""

    proxy: Proxy | None = Field(None, title="Proxy")
    """`http://`, `https://`, `socks5://` or `socks5h://`, with host and port, for everything that the box sends to
    this platform. With `socks5h` the proxy looks names up. A password in it is kept as a secret."""


@dataclass(frozen=True, slots=True)
class BridgeContext:
    """Everything a bridge gets. ``secrets`` has the values of its configuration's secrets, by their text."""

    name: str
    config: Any
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    inbox: Inbox
    clock: Clock
    secrets: Mapping[str, str]
    webhook_secret: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Values of the box's own configuration: ``telegram_api``."""


class Bridge(Protocol):
    """An adapter to a chat platform. Liveness is ``probe``, a round trip, not a socket's state."""

    name: str
    capabilities: Capabilities

    async def start(self) -> None:
        """Begin to receive. Returns soon; what takes time goes on in tasks of its own."""
        ...

    async def stop(self) -> None: ...

    async def probe(self) -> Probe:
        """Ask the platform who we are. Never raises for a platform that is away."""
        ...

    def pace(self, conversation: str | None) -> Pace: ...

    def default_conversation(self) -> str | None:
        """Where a message without a conversation goes, as far as the configuration says."""
        ...

    async def send_message(self, message: ChatMessage) -> Receipt:
        """Send and wait for the platform's confirmation. Raises appliance.outbox.errors.DeliveryError.

        One with ``replaces`` comes only to a platform that can edit; DeliveryRefused then makes it a new message.
        """
        ...

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        """What people said in a raw event of the inbox. An event of no interest gives an empty list."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """An HTTP request on a platform's webhook path. Header names are in lower case, ``query`` is decoded."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: datetime
    secret: str
    """What the box made for the platform to prove itself with, where it takes such a thing."""
    config: Any
    secrets: Mapping[str, str]
    """The values of the configuration's secrets, by their text."""


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What a request brought, and what the platform wants to hear once that is committed."""

    events: Sequence[RawEvent] = ()
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class WebhookRefused(Exception):
    """An answer, not an error: the request is not the platform's. ``status`` is HTTP's."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class BridgeFactory:
    """What a platform's folder exposes as ``BRIDGE``.

    ``build`` is None while the platform is known but has no bridge; ``unavailable`` then says so to people.
    ``builtin``: there is one without any configuration. ``webhook`` proves a request and reads its events, or
    raises WebhookRefused; it sees only the request, so that the web process can answer without a live bridge.
    ``local``: its messages do not leave the box, so the all-stop that cuts the box off leaves it alone.
    ``guide`` says to people how to set it up; one without cannot be added in the web admin.
    ``address`` gives the URL that the bridge connects to first (its proxy, where there is one) from its
    configuration, the box's settings and its secrets; the network monitor looks at its host and port.
    ``programs``: its readers are programs, for which there are neither quiet hours nor mutes.
    """

    kind: str
    title: str
    config: type[PlatformConfig]
    capabilities: Capabilities
    build: Callable[[BridgeContext], Bridge] | None
    unavailable: str = ""
    builtin: bool = False
    local: bool = False
    shown: bool = True
    programs: bool = False
    guide: Guide | None = None
    webhook: Callable[[WebhookRequest], WebhookAnswer] | None = None
    address: Callable[[Any, Mapping[str, str], Mapping[str, str]], str] | None = None

    @property
    def proxies(self) -> tuple[str, ...]:
        """The schemes of the proxies that it can go through."""
        return PROXIES if "proxy" in self.config.model_fields else ()


class Verb(StrEnum):
    """What chat understands without a model."""

    STOP = "stop"
    STATUS = "status"
    RUN = "run"
    ANSWER = "answer"
    APPROVE = "approve"
    DENY = "deny"
    ACK = "ack"
    TASKS = "tasks"
    RUNS = "runs"
    CANCEL = "cancel"
    MUTE = "mute"
    UNMUTE = "unmute"
    MUTES = "mutes"
    FORGET = "forget"
    ANEW = "anew"
    REMEMBER = "remember"
    NOTES = "notes"
    HELP = "help"
    PAIR = "pair"
    START = "start"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """A command from chat. ``key`` is the same when the same message is handled twice after a crash.

    ``forwarded``: its words are those of somebody else, passed on.
    """

    verb: Verb
    argument: str
    text: str
    language: str
    key: str
    received_at: datetime
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class ChatSender:
    """Who wrote, as a known person of this box: ``account_id`` is the primary key of accounts.User.

    ``token_id``: a program did, with this API token of theirs, and may do no more than that.
    """

    account_id: int
    username: str
    platform: str
    user_id: str
    conversation: str
    linked_by: str = ""
    """The principal that linked this identity to the person; empty where nobody had to."""
    token_id: int | None = None
    private: bool = True
    """Whether nobody else reads the conversation: in a group the box may not have been meant."""

    @property
    def principal(self) -> str:
        return f"user:{self.username}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the box says to a command. ``text`` says in words what the buttons do, for platforms without any."""

    text: str
    buttons: tuple[Button, ...] = ()


class CommandHandler(Protocol):
    """Carries out commands; wired by the composition root."""

    async def handle(self, command: ChatCommand, sender: ChatSender) -> Answer | None:
        """Do it (at most once per ``command.key``) and give the answer for the chat.

        None for a word that is unknown to it too. Raise MillwrightError to answer with its sentence. The roles of the
        sender are the handler's to check.
        """
        ...


@dataclass(frozen=True, slots=True)
class Illustration:
    """What a chart shows: in words always, and as a picture where there is something to draw."""

    words: str
    picture: Attachment | None = None


class Illustrator(Protocol):
    """Makes the charts that messages ask for; of a layer above, which knows readings."""

    async def illustrate(self, chart: JsonObject, *, picture: bool) -> Illustration:
        """``chart`` is the message's own. ``picture``: whether one is wanted beside the words."""
        ...
