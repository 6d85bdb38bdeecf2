"""A message on its way to Slack: its texts, its buttons, its files, and editing one that is there."""

import json

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import Attachment, ChatMessage
from appliance.bridges.presenting import Part, present
from appliance.bridges.slack.api import SlackApi
from appliance.bridges.slack.blocks import content_of
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, PlatformAway
from appliance.outbox.ports import Receipt


class Sending:
    """One message. A conversation is a channel ``C0123``, a person ``U0123``, or a thread ``C0123/1699000000.000100``.

    A text that arrived is known as ``channel/ts``: Slack edits only by the channel's id, which a person's is not.
    """

    def __init__(self, api: SlackApi, name: str, message: ChatMessage) -> None:
        self._api = api
        self._message = message
        self._delivery = Delivery(name, message)
        self._channel, _, self._thread = message.conversation.partition("/")

    async def send(self, capabilities: Capabilities, clock: Clock, pause: float) -> Receipt:
        """Raises DeliveryError."""
        parts = present(self._message, capabilities)
        if not self._message.replaces:
            return await self._delivery.carry(parts, self._post, clock, pause)
        if len(parts) != 1 or parts[0].attachment:
            raise DeliveryRefused("too long to take another message's place")
        return await self._delivery.carry(parts, self._edit, clock)

    async def _post(self, part: Part) -> str:
        if part.attachment:
            return await self._file(part.attachment)
        where: JsonObject = {"channel": self._channel, **self._in_thread}
        quiet: JsonObject = {"unfurl_links": False, "unfurl_media": False}
        answer = await self._api.call("chat.postMessage", {**where, **content_of(part), **quiet})
        self._channel = str(answer.get("channel") or self._channel)
        return f"{self._channel}/{answer.get('ts')}"

    async def _edit(self, part: Part) -> str:
        number = next((one for one in reversed(self._message.replaces) if "/" in one), "")
        channel, _, stamp = number.partition("/")
        if not stamp:
            raise DeliveryRefused("the earlier message has no text whose place this one could take")
        await self._api.call("chat.update", {"channel": channel, "ts": stamp, **content_of(part)})
        return number

    async def _file(self, attachment: Attachment) -> str:
        size = str(len(attachment.content))
        try:
            place = await self._api.call(
                "files.getUploadURLExternal", form={"filename": attachment.name, "length": size}
            )
            await self._api.upload(str(place.get("upload_url")), attachment.content)
        except PlatformAway as error:
            error.maybe_sent = False  # nobody sees a file before the next call
            raise
        number = str(place.get("file_id"))
        person = self._channel.startswith(("U", "W"))
        shared = {
            "files": json.dumps([{"id": number, "title": attachment.name}]),
            "channels" if person else "channel_id": self._channel,
        }
        await self._api.call("files.completeUploadExternal", form={**shared, **self._in_thread})
        return number

    @property
    def _in_thread(self) -> dict[str, str]:
        return {"thread_ts": self._thread} if self._thread else {}
