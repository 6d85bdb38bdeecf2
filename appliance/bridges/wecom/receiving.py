"""WeCom's calls: proved, opened, and read as far as this bridge understands them."""

import hashlib

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage, RawEvent
from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.bridges.signing import is_recent, same
from appliance.bridges.wecom.crypto import Seal, Unreadable
from appliance.bridges.wecom.markup import Refused, read_xml
from appliance.bridges.wecom.refusals import text_in
from appliance.lib.jsontypes import JsonObject

PRESS = "template_card_event"
LONGEST_ID = 200


class Said(BaseModel):
    """A text of a member's, or their press of a card's button. Names are WeCom's."""

    author: str = Field(alias="FromUserName", min_length=1, max_length=64)
    kind: str = Field(alias="MsgType")
    text: str = Field("", alias="Content")
    event: str = Field("", alias="Event")
    key: str = Field("", alias="EventKey")
    task_id: str = Field("", alias="TaskId")
    response_code: str = Field("", alias="ResponseCode")
    """With it the card may be changed once, within 72 hours."""

    @property
    def is_press(self) -> bool:
        return self.kind == "event" and self.event == PRESS and bool(self.key)

    @property
    def is_text(self) -> bool:
        return self.kind == "text" and bool(self.text.strip())


def read_said(payload: JsonObject) -> Said | None:
    """None for what is nothing that somebody says: a picture, a place, somebody opening the app."""
    try:
        said = Said.model_validate(payload)
    except ValidationError:
        return None
    return said if said.is_text or said.is_press else None


def message_of(said: Said) -> InboundMessage:
    """A member's chat with an app is theirs alone."""
    return InboundMessage(
        conversation=said.author,
        user_id=said.author,
        text=said.key if said.is_press else said.text,
        private=True,
        pressed=said.is_press,
    )


def from_webhook(request: WebhookRequest) -> WebhookAnswer:
    """The answer to a question whether this is the right box, or the event in a call. Raises WebhookRefused."""
    seal = Seal.of(request.config, request.secrets)
    if request.method not in ("GET", "POST"):
        raise WebhookRefused(405)
    asking = request.method == "GET"
    sealed = request.query.get("echostr", "") if asking else text_in(_document(request.body), "Encrypt")
    stamp, nonce = request.query.get("timestamp", ""), request.query.get("nonce", "")
    made = seal.signature(stamp, nonce, sealed)
    if not is_recent(stamp, request.now) or not same(request.query.get("msg_signature", ""), made):
        raise WebhookRefused(403)
    try:
        opened = seal.open(sealed)
    except Unreadable as error:
        raise WebhookRefused(403) from error
    if asking:
        return WebhookAnswer(body=opened)
    payload = _document(opened)
    agent = text_in(payload, "AgentID")
    if agent and agent != str(request.config.agent_id):
        raise WebhookRefused(403)
    # What nobody here wants is taken all the same: WeCom would send it three times.
    return WebhookAnswer([RawEvent(_id_of(payload), payload)] if read_said(payload) else ())


def _document(data: bytes) -> JsonObject:
    try:
        return read_xml(data)
    except Refused as error:
        raise WebhookRefused(400) from error


def _id_of(payload: JsonObject) -> str:
    """WeCom numbers messages, not events: those are known by who, when and what."""
    number = text_in(payload, "MsgId")
    if number:
        return number[:LONGEST_ID]
    names = ("FromUserName", "CreateTime", "Event", "EventKey", "TaskId")
    whole = "/".join(text_in(payload, name) for name in names)
    return whole if len(whole) <= LONGEST_ID else hashlib.sha256(whole.encode()).hexdigest()
