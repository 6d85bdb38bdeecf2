"""A message on its way to Feishu: texts and cards, pictures and files, and editing one that is there."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.enterprise_im.api import FeishuApi
from appliance.bridges.enterprise_im.contents import Content, content_of
from appliance.bridges.enterprise_im.refusals import NOT_A_PICTURE, FeishuRefused
from appliance.bridges.messages import Attachment, ChatMessage
from appliance.bridges.presenting import Part, present
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, PlatformAway
from appliance.outbox.ports import Receipt

MESSAGES = "/im/v1/messages"
FILE_TIMEOUT = 60.0
LARGEST_PICTURE = 10_000_000
_TYPES = {"pdf": "pdf", "doc": "doc", "docx": "doc", "xls": "xls", "xlsx": "xls", "ppt": "ppt", "pptx": "ppt"}
_RECEIVERS = {"oc_": "chat_id", "ou_": "open_id", "on_": "union_id"}


class Sending:
    """One message. Its parts have the same names at each attempt: within an hour the platform drops a repeat itself."""

    def __init__(self, api: FeishuApi, name: str, message: ChatMessage) -> None:
        self._api = api
        self._message = message
        self._delivery = Delivery(name, message)
        self._number = message.parts_done

    async def send(self, capabilities: Capabilities, clock: Clock, pause: float) -> Receipt:
        """Raises DeliveryError."""
        parts = fitting(self._message, capabilities)
        if self._message.replaces:
            if len(parts) != 1 or parts[0].attachment:
                raise DeliveryRefused("too long to take another message's place")
            return await self._delivery.carry(parts, self._edit, clock)
        return await self._delivery.carry(parts, self._post, clock, pause)

    async def _post(self, part: Part) -> str:
        number, self._number = self._number, self._number + 1
        content = await self._uploaded(part.attachment) if part.attachment else content_of(part)
        answer = await self._api.call(
            "POST",
            MESSAGES,
            query={"receive_id_type": receiver_type(self._message.conversation)},
            json={
                "receive_id": self._message.conversation,
                "msg_type": content.kind,
                "content": content.body,
                "uuid": f"{self._message.id.hex}-{number}",
            },
        )
        return _found(answer, "message_id")

    async def _edit(self, part: Part) -> str:
        """Cards are patched, texts are put: one that was of the other kind is refused, and becomes a new message."""
        message_id, content = self._message.replaces[-1], content_of(part)
        told: JsonObject = {"content": content.body}
        if content.kind == "text":
            await self._api.call("PUT", f"{MESSAGES}/{message_id}", json={"msg_type": "text", **told})
        else:
            await self._api.call("PATCH", f"{MESSAGES}/{message_id}", json=told)
        return message_id

    # --- files --------------------------------------------------------------------------------------

    async def _uploaded(self, attachment: Attachment) -> Content:
        try:
            if attachment.is_picture and len(attachment.content) <= LARGEST_PICTURE:
                try:
                    return await self._picture(attachment)
                except FeishuRefused as refused:
                    if refused.number not in NOT_A_PICTURE:
                        raise
                    self._delivery.notes.append(f"{attachment.name} was sent as a file")
            return await self._file(attachment)
        except PlatformAway as error:
            error.maybe_sent = False  # nobody sees what was only uploaded
            raise

    async def _picture(self, attachment: Attachment) -> Content:
        answer = await self._api.call(
            "POST",
            "/im/v1/images",
            data={"image_type": "message"},
            files={"image": (attachment.name, attachment.content, attachment.media_type)},
            timeout=FILE_TIMEOUT,
        )
        return Content("image", json.dumps({"image_key": _found(answer, "image_key")}))

    async def _file(self, attachment: Attachment) -> Content:
        kind = _TYPES.get(PurePath(attachment.name).suffix.lower().removeprefix("."), "stream")
        answer = await self._api.call(
            "POST",
            "/im/v1/files",
            data={"file_type": kind, "file_name": attachment.name},
            files={"file": (attachment.name, attachment.content, attachment.media_type)},
            timeout=FILE_TIMEOUT,
        )
        return Content("file", json.dumps({"file_key": _found(answer, "file_key")}))


def fitting(message: ChatMessage, capabilities: Capabilities) -> Sequence[Part]:
    """The message's parts, shorter ones where their text grows too much in JSON. The same at every attempt."""
    limits = (capabilities.text_limit // share for share in (1, 2, 4))
    for limit in limits:
        parts = present(message, replace(capabilities, text_limit=limit))
        if all(part.attachment or content_of(part).fits for part in parts):
            return parts
    raise DeliveryRefused("the message is too large in any form")


def receiver_type(conversation: str) -> str:
    """What kind of address it is: of a chat, a person, or one by mail."""
    known = _RECEIVERS.get(conversation[:3])
    if known:
        return known
    return "email" if "@" in conversation else "user_id"


def _found(answer: JsonObject, name: str) -> str:
    data = answer.get("data")
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, str) or not found:
        raise PlatformAway(f"the answer has no {name}", maybe_sent=True)
    return found
