"""A message on its way to members: its texts, its card, its files, and changing a card that is there."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import Attachment, ChatMessage
from appliance.bridges.presenting import Part, present
from appliance.bridges.wecom.api import WecomApi
from appliance.bridges.wecom.cards import CardName, card_of, fits, with_cards
from appliance.bridges.wecom.refusals import TASK_EXISTS, WecomRefused, text_in
from appliance.bridges.wecom.text import inert
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused
from appliance.outbox.ports import Receipt

PICTURE_LIMIT = 10_000_000
SMALLEST_FILE = 6
"""Bytes: WeCom takes no file of five."""
MOST_PRESSES = 1000


class Presses:
    """The codes that came with presses, by the card's task_id: each lets the card be changed once more."""

    def __init__(self) -> None:
        self._codes: OrderedDict[str, str] = OrderedDict()

    def note(self, task_id: str, code: str) -> None:
        if task_id and code:
            self._codes[task_id] = code
            self._codes.move_to_end(task_id)
        while len(self._codes) > MOST_PRESSES:
            self._codes.popitem(last=False)

    def take(self, task_id: str) -> str:
        """Empty where there is none."""
        return self._codes.pop(task_id, "")


class Sending:
    """One message."""

    def __init__(self, api: WecomApi, name: str, message: ChatMessage, presses: Presses) -> None:
        self._api = api
        self._message = message
        self._presses = presses
        self._task_id = message.id.hex
        self._delivery = Delivery(name, message)

    async def send(self, capabilities: Capabilities, clock: Clock, pause: float) -> Receipt:
        """Raises DeliveryError."""
        parts = present(made_inert(self._message), capabilities)
        if not self._message.replaces:
            return await self._delivery.carry(with_cards(parts), self._post, clock, pause)
        if len(parts) != 1 or not fits(parts[0]):
            raise DeliveryRefused("too long to take another message's place")
        return await self._delivery.carry(parts, self._edit, clock)

    async def _post(self, part: Part) -> str:
        if part.attachment:
            return await self._file(part.attachment)
        if part.buttons:
            return await self._card(part)
        return text_in(await self._say("text", {"content": part.whole}), "msgid")

    async def _file(self, attachment: Attachment) -> str:
        kind = "image" if shown_as_picture(attachment, PICTURE_LIMIT) else "file"
        media_id = await self._api.upload(attachment, kind)
        return text_in(await self._say(kind, {"media_id": media_id}), "msgid")

    async def _card(self, part: Part) -> str:
        try:
            told = await self._say("template_card", card_of(part, self._task_id))
        except WecomRefused as error:
            if error.number != TASK_EXISTS or not self._message.repeat_possible:
                raise
            # The answer to an earlier attempt was lost, not the card.
            self._delivery.notes.append("the card had arrived before")
            return str(CardName("-", self._task_id))
        return str(CardName(text_in(told, "msgid"), self._task_id, text_in(told, "response_code")))

    async def _say(self, kind: str, content: JsonObject) -> JsonObject:
        told = await self._api.post(
            "message/send",
            {
                **receivers(self._message.conversation),
                "msgtype": kind,
                "agentid": self._api.agent_id,
                kind: content,
                "enable_id_trans": 0,  # or $userName=ann$ in a text becomes her name
            },
        )
        for field in ("invaliduser", "invalidparty", "invalidtag", "unlicenseduser"):
            if missed := text_in(told, field):
                note = f"not reached: {missed}"
                self._delivery.notes += [note] if note not in self._delivery.notes else []
        return told

    async def _edit(self, part: Part) -> str:
        """A press gave the newest code; the one that came with sending the card is good for one change too."""
        card = CardName.found(self._message.replaces)
        codes = [one for one in (self._presses.take(card.task_id), card.code) if one] if card else []
        if card is None or not codes:
            raise DeliveryRefused(
                "WeCom changes only a card with buttons, once, and once more for each press"
            )
        try:
            await self._update(part, codes[0])
        except WecomRefused:
            if len(codes) == 1:
                raise
            await self._update(part, codes[1])
        return str(CardName(card.message_id, self._task_id))

    async def _update(self, part: Part, code: str) -> None:
        await self._api.post(
            "message/update_template_card",
            {
                "atall": 1,
                "agentid": self._api.agent_id,
                "response_code": code,
                "enable_id_trans": 0,
                "template_card": card_of(part, self._task_id),
            },
        )


def made_inert(message: ChatMessage) -> ChatMessage:
    """The message as it looks, whatever stands in it; files that WeCom finds too small are named and left out."""
    return replace(
        message,
        text=inert(message.text),
        title=inert(message.title),
        attachments=_large_enough(message.attachments),
    )


def shown_as_picture(attachment: Attachment, limit: int) -> bool:
    return attachment.media_type in ("image/png", "image/jpeg") and len(attachment.content) <= limit


def receivers(conversation: str) -> JsonObject:
    """``party:2`` and ``tag:3``; everything else are members, several with ``|`` between them."""
    kind, colon, number = conversation.partition(":")
    match kind if colon else "":
        case "party":
            return {"toparty": number}
        case "tag":
            return {"totag": number}
        case _:
            return {"touser": conversation}


def _large_enough(attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    return tuple(
        one if len(one.content) >= SMALLEST_FILE else replace(one, content=b"") for one in attachments
    )
