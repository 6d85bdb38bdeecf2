"""A generic webhook: signed HTTP to your own program, and from it. docs/how-to/webhook-bridge.md has the format."""

import base64
import json
from collections.abc import Mapping

from appliance.bridges.api import PlatformApi
from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import ChatMessage, InboundMessage, RawEvent
from appliance.bridges.ports import (
    Bridge,
    BridgeContext,
    BridgeFactory,
    Probe,
    ProbeState,
    WebhookAnswer,
    WebhookRefused,
    WebhookRequest,
)
from appliance.bridges.presenting import Part, present
from appliance.bridges.round_trip import round_trip
from appliance.bridges.signing import hmac_sha256, is_recent, same
from appliance.bridges.webhook.config import WebhookConfig
from appliance.bridges.webhook.events import read_event
from appliance.bridges.webhook.guide import GUIDE
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, NotReady
from appliance.outbox.ports import Pace, Receipt

TITLE = "the webhook"
TIME_HEADER, SIGNATURE_HEADER = "x-millwright-timestamp", "x-millwright-signature"
CAPABILITIES = Capabilities(
    text_limit=100_000, buttons=20, label_limit=100, attachment_limit=5_000_000, edits=True, threads=True
)
CANNOT_SEND = "this webhook only receives: its configuration has no url"


class WebhookBridge:
    """One program."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext) -> None:
        config: WebhookConfig = context.config
        self.name = context.name
        self._context = context
        self._config = config
        self._secret = context.secrets[config.auth.root]
        proxy = context.secrets[config.proxy.root] if config.proxy else None
        self._api = PlatformApi(TITLE, config.url or "", proxy=proxy, secrets=(self._secret,))

    async def start(self) -> None:
        """Nothing to begin: the web process is called."""

    async def stop(self) -> None:
        await self._api.close()

    async def probe(self) -> Probe:
        """A signed ``ping``; a program that only calls the box cannot be asked."""
        if self._config.url is None:
            return Probe(ProbeState.OK, CANNOT_SEND)
        return await round_trip(self._context.clock, self._ping)

    async def _ping(self) -> Probe:
        await self._post({"type": "ping"}, "ping")
        return Probe(ProbeState.OK, "", self._config.host)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return self._config.conversation

    async def send_message(self, message: ChatMessage) -> Receipt:
        if self._config.url is None:
            raise DeliveryRefused(CANNOT_SEND)
        parts = present(message, self.capabilities)
        delivery = Delivery(self.name, message)

        async def post(part: Part) -> str:
            key = delivery.key(part)
            return await self._post(_told(message, part, key), key)

        return await delivery.carry(parts, post, self._context.clock)

    async def _post(self, told: JsonObject, key: str) -> str:
        body = json.dumps(told, ensure_ascii=False).encode()
        stamp = str(int(self._context.clock.now().timestamp()))
        headers = {
            "content-type": "application/json",
            "idempotency-key": key.encode("ascii", "backslashreplace").decode(),
            TIME_HEADER: stamp,
            SIGNATURE_HEADER: signature(self._secret, stamp, body),
        }
        answer = await self._api.request("POST", "", content=body, headers=headers)
        if answer.status == 429:
            raise DeliveryDeferred(f"{TITLE} asks for patience", retry_after=answer.retry_after or 5.0)
        if answer.status in (401, 403):
            raise NotReady(f"{TITLE} refuses the signature", hint="both ends need the same secret")
        if not 200 <= answer.status < 300:
            raise DeliveryRefused(f"{TITLE} answers with status {answer.status}")
        given = answer.fields.get("id")
        return str(given)[:200] if isinstance(given, str | int) and given else key

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        found = read_event(event)
        return [found] if found else []


def signature(secret: str, stamp: str, body: bytes) -> str:
    """``v1=`` and HMAC-SHA256 over the time, a full stop, and the body, in hexadecimal."""
    return f"v1={hmac_sha256(secret, stamp.encode() + b'.' + body)}"


def from_webhook(request: WebhookRequest) -> WebhookAnswer:
    """The event in a signed request. Raises WebhookRefused."""
    if request.method != "POST":
        raise WebhookRefused(405)
    stamp = request.headers.get(TIME_HEADER, "")
    made = signature(request.secrets[request.config.auth.root], stamp, request.body)
    if not is_recent(stamp, request.now) or not same(request.headers.get(SIGNATURE_HEADER, ""), made):
        raise WebhookRefused(403)
    try:
        event = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefused(400) from error
    identifier = event.get("id") if isinstance(event, dict) else None
    if not isinstance(identifier, str | int) or isinstance(identifier, bool) or not str(identifier):
        raise WebhookRefused(400)
    return WebhookAnswer([RawEvent(str(identifier), event)], b"{}", "application/json")


def _told(message: ChatMessage, part: Part, key: str) -> JsonObject:
    buttons: list[JsonValue] = [{"label": one.label, "data": one.data} for one in part.buttons]
    told: JsonObject = {
        "type": "message",
        "key": key,
        "conversation": message.conversation,
        "title": part.title,
        "text": part.text,
        "buttons": buttons,
        "replaces": list(message.replaces),
        "run": str(message.run_id or ""),
        "maybe_repeated": message.repeat_possible,
    }
    if part.attachment:
        told["file"] = {
            "name": part.attachment.name,
            "media_type": part.attachment.media_type,
            "content": base64.b64encode(part.attachment.content).decode(),
        }
    return told


def _build(context: BridgeContext) -> Bridge:
    return WebhookBridge(context)


def _address(config: WebhookConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else config.url or ""


BRIDGE = BridgeFactory(
    kind="webhook",
    title="Webhook",
    config=WebhookConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    webhook=from_webhook,
    address=_address,
)
