"""What an app sends: plain texts, and a card where there are buttons and a template for it.

open.dingtalk.com/document/orgapp: chatbots-send-one-on-one-chat-messages-in-batches, the-robot-sends-a-group-message,
create-and-deliver-cards. A card that asks back needs a template designed by its users; there is none for everybody.
"""

import json
from uuid import uuid4

from appliance.bridges.dingtalk.api import OpenApi
from appliance.bridges.dingtalk.errors import A_MOMENT, TITLE
from appliance.bridges.presenting import Part
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, PlatformAway

MOST_BUTTONS = 4
LABEL_LIMIT = 20


def is_group(conversation: str) -> bool:
    """A group's openConversationId is ``cid`` with base64; a user id has no equals sign."""
    return conversation.startswith("cid") and conversation.endswith("=")


class Sending:
    """One app's way out to one conversation."""

    def __init__(self, api: OpenApi, robot_code: str, card_template: str | None, conversation: str) -> None:
        self._api = api
        self._robot = robot_code
        self._template = card_template
        self._to = conversation

    async def post(self, part: Part) -> str:
        """The platform's identifier of what it took. Raises DeliveryError."""
        return await (self._card(part) if part.buttons and self._template else self._text(part))

    async def _text(self, part: Part) -> str:
        body: JsonObject = {
            "robotCode": self._robot,
            "msgKey": "sampleText",
            "msgParam": json.dumps({"content": part.whole}, ensure_ascii=False),
        }
        if is_group(self._to):
            path = "/v1.0/robot/groupMessages/send"
            answer = await self._api.call(path, {**body, "openConversationId": self._to})
        else:
            path = "/v1.0/robot/oToMessages/batchSend"
            answer = await self._api.call(path, {**body, "userIds": [self._to]})
            _check_receivers(answer)
        return _identifier(answer.get("processQueryKey"))

    async def _card(self, part: Part) -> str:
        track = uuid4().hex
        # Every variable of the template is set, also to nothing: what is not set shows the template's sample.
        variables: JsonObject = {"title": part.title, "text": part.text}
        for index in range(MOST_BUTTONS):
            button = part.buttons[index] if index < len(part.buttons) else None
            variables[f"label{index + 1}"] = button.label if button else ""
            variables[f"data{index + 1}"] = button.data if button else ""
        body: JsonObject = {
            "cardTemplateId": self._template,
            "outTrackId": track,
            "callbackType": "STREAM",
            "userIdType": 1,
            "cardData": {"cardParamMap": variables},
            **self._space(),
        }
        answer = await self._api.call("/v1.0/card/instances/createAndDeliver", body)
        self._check_delivered(answer)
        return track

    def _space(self) -> JsonObject:
        if is_group(self._to):
            return {
                "openSpaceId": f"dtv1.card//IM_GROUP.{self._to}",
                "imGroupOpenSpaceModel": {"supportForward": False},
                "imGroupOpenDeliverModel": {"robotCode": self._robot},
            }
        return {
            "openSpaceId": f"dtv1.card//IM_ROBOT.{self._to}",
            "imRobotOpenSpaceModel": {"supportForward": False},
            "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": self._robot},
        }

    def _check_delivered(self, answer: JsonObject) -> None:
        result = answer.get("result")
        delivered = result.get("deliverResults") if isinstance(result, dict) else None
        if not isinstance(delivered, list) or not delivered:
            raise PlatformAway(f"{TITLE} does not say whether the card arrived", maybe_sent=True)
        for one in delivered:
            if not isinstance(one, dict) or one.get("success") is not True:
                words = str(one.get("errorMsg") or "no") if isinstance(one, dict) else "no"
                raise DeliveryRefused(f"{TITLE} says of the card: {self._api.redact(words)[:300]}")


def _check_receivers(answer: JsonObject) -> None:
    """One that was not reached stands in a list of an answer that is no error."""
    if answer.get("flowControlledStaffIdList"):
        raise DeliveryDeferred(f"{TITLE} asks for patience with this person", retry_after=A_MOMENT)
    if answer.get("invalidStaffIdList"):
        raise DeliveryRefused(f"{TITLE} knows no such person in this organisation")
    if answer.get("filteredStaffIdList"):
        raise DeliveryRefused(f"{TITLE} does not let the robot write to this person")


def _identifier(given: object) -> str:
    if not isinstance(given, str) or not given:
        raise PlatformAway(f"{TITLE} does not confirm the message", maybe_sent=True)
    return given
