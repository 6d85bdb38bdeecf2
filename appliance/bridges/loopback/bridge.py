"""A platform without a platform: keeps what is said, and can answer with the same words."""

from pydantic import Field

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.digests import DigestChoice, DigestConfig
from appliance.bridges.kept_chat import say
from appliance.bridges.messages import ChatMessage, InboundMessage, RawEvent
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, PlatformConfig, Probe, ProbeState
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused
from appliance.outbox.ports import Pace, Receipt

CAPABILITIES = Capabilities(text_limit=100_000, buttons=20, edits=True, keyed=True)
CONVERSATION = "loopback"


class LoopbackConfig(PlatformConfig):
    digest: DigestChoice = Field(DigestConfig(apart=True), title="Digest")
    """Who listens here is a program: it gets each message."""
    echo: bool = Field(False, title="Echo")
    """Every message comes back as an inbound one of the user `echo`."""


class LoopbackBridge:
    """Messages lie in the table of the box's own chats, under the platform's name."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext) -> None:
        self.name = context.name
        self._context = context

    async def start(self) -> None:
        """The database is there for it already."""

    async def stop(self) -> None:
        """Nothing is held."""

    async def probe(self) -> Probe:
        return Probe(ProbeState.OK, "", identity=self.name)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return CONVERSATION

    async def send_message(self, message: ChatMessage) -> Receipt:
        if not message.text.strip():
            raise DeliveryRefused("the message is empty")
        async with self._context.pool.connection() as connection, connection.transaction():
            number, _ = await say(connection, self._context, message.conversation, message)
        if self._context.config.echo:
            echo: JsonObject = {
                "conversation": message.conversation,
                "user_id": "echo",
                "user_name": "Echo",
                "text": message.text,
            }
            await self._context.inbox.receive([RawEvent(f"echo-{message.id}", echo)])
        return Receipt(self.name, message.conversation, (number,), self._context.clock.now())

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        text, user_id = event.get("text"), event.get("user_id")
        if not isinstance(text, str) or not isinstance(user_id, str):
            return []
        conversation = str(event.get("conversation") or CONVERSATION)
        return [InboundMessage(conversation, user_id, text, str(event.get("user_name") or ""))]


def _build(context: BridgeContext) -> Bridge:
    return LoopbackBridge(context)


BRIDGE = BridgeFactory(
    kind="loopback",
    title="Loopback",
    config=LoopbackConfig,
    capabilities=CAPABILITIES,
    build=_build,
    builtin=True,
    local=True,
    shown=False,
)
