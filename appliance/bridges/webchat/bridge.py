"""The web admin's own chat: the notification feed, and a conversation of each person with the box."""

from dataclasses import replace

from appliance.bridges import sql
from appliance.bridges.capabilities import Capabilities
from appliance.bridges.domain import FEED, own_conversation
from appliance.bridges.files import LARGEST
from appliance.bridges.kept_chat import AUTHOR, say
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, PlatformConfig, Probe, ProbeState
from appliance.bridges.text import split
from appliance.events import FeedMessage
from appliance.events.services import record_async
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused
from appliance.outbox.ports import Pace, Receipt

CAPABILITIES = Capabilities(text_limit=20_000, buttons=20, attachment_limit=LARGEST, edits=True, keyed=True)


class WebchatConfig(PlatformConfig):
    """Needs nothing."""


class WebchatBridge:
    """A message is delivered when it is committed: browsers fetch what they missed."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext) -> None:
        self.name = context.name
        self._context = context

    async def start(self) -> None:
        """The database is there for it already."""

    async def stop(self) -> None:
        """Nothing is held."""

    async def probe(self) -> Probe:
        async with self._context.pool.connection() as connection:
            await connection.execute("SELECT 1")
        return Probe(ProbeState.OK, "", identity=AUTHOR)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return FEED

    async def send_message(self, message: ChatMessage) -> Receipt:
        parts = split(message.text, self.capabilities.text_limit, self.capabilities.unit, most=1)
        if not parts and not message.attachments:
            raise DeliveryRefused("the message is empty")
        message = replace(message, text=parts[0] if parts else "")
        conversation = await self._conversation(message.conversation)
        async with self._context.pool.connection() as connection, connection.transaction():
            number, new = await say(connection, self._context, conversation, message)
            if new:
                await record_async(
                    connection,
                    FeedMessage(
                        message_id=number,
                        conversation=conversation,
                        text=message.text,
                        author=AUTHOR,
                        run_id=str(message.run_id or ""),
                    ),
                )
        return Receipt(self.name, conversation, (number,), self._context.clock.now())

    async def _conversation(self, wanted: str) -> str:
        """``feed``, or a person: ``user:ann`` or ``ann``."""
        if wanted == FEED:
            return FEED
        username = wanted.removeprefix("user:")
        async with self._context.pool.connection() as connection:
            found = await connection.execute(sql.IS_PERSON, {"username": username})
            if await found.fetchone() is None:
                raise DeliveryRefused(f"nobody here is called {username[:150]!r}")
        return own_conversation(username)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        user_id, text, conversation = event.get("user_id"), event.get("text"), event.get("conversation")
        if not (isinstance(user_id, str) and user_id.isdigit() and isinstance(text, str)):
            return []
        return [
            InboundMessage(
                conversation=str(conversation),
                user_id=user_id,
                user_name=str(event.get("user_name") or ""),
                text=text,
                account_id=int(user_id),
            )
        ]


def _build(context: BridgeContext) -> Bridge:
    return WebchatBridge(context)


BRIDGE = BridgeFactory(
    kind="webchat",
    title="Web admin",
    config=WebchatConfig,
    capabilities=CAPABILITIES,
    build=_build,
    builtin=True,
    local=True,
)
