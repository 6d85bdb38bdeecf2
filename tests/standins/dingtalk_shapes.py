"""What DingTalk says to an app, and how its clients show a text. Sources: see dingtalk.py."""

import hashlib
import json
import re
from typing import Any

CLIENT_ID, CLIENT_SECRET = (
    "dingue4kfzdxbyn0pjqd",
    "w8M-4vL0r2Jt6XqE9sYbC1uZ3aHkNdPgFi5oTmRxWlQjSyVeBc7hUKDnAzGfIp0O",
)
ROBOT_TOKEN = "566cc69da782ec33c3e0a2a5e1fd0d5b0fd61b0a8bd1a5b9b8f0d3c1a7e9f2b4"
ROBOT_SECRET = "SEC7d1a3f5b9c2e4d6f8a0b1c3d5e7f9a2b4c6d8e0f1a3b5c7d9e1f3a5b7c9d1e3f"
CORP, TEMPLATE = "ding9f50b15bccd16741", "1366a1eb-bc54-4859-ac88-517c56a9acb1.schema"
GROUP = "cid5o+bbZdK/80y1V5ESE5Trw=="
TOPICS = ("/v1.0/im/bot/messages/get", "/v1.0/card/instances/callback")
VARIABLES = {"title", "text", *(f"{name}{number}" for name in ("label", "data") for number in range(1, 5))}
_FACE = re.compile(r"\[(?:[\u4e00-\u9fff]{1,6}|OK)\]")


def seen(text: str) -> str:
    """What a client shows: faces for their codes; some characters have no width."""
    return _FACE.sub("😶", text).replace("\u2060", "")


def bot_message(text: str, user: str = "7", group: str = "", **more: Any) -> dict[str, Any]:
    """As DingTalk tells what ``user`` wrote to the robot: alone with it, or in a group after its name."""
    return {
        "conversationId": group or "cidbWykSYH4VBmX0naFuJKylC0IWbX/byxZtsaUuznx8Cs=",
        "conversationType": "2" if group else "1",
        "chatbotCorpId": CORP,
        "chatbotUserId": "$:LWCP_v1:$robot",
        "msgId": f"msg{hashlib.sha256(text.encode()).hexdigest()[:16]}==",
        "senderNick": "Ann",
        "senderId": f"$:LWCP_v1:${user}",
        "senderStaffId": user,
        "senderCorpId": CORP,
        "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=76da36b4",
        "sessionWebhookExpiredTime": 1690367502152,
        "createAt": 1690362101894,
        "isAdmin": False,
        "robotCode": CLIENT_ID,
        "msgtype": "text",
        "text": {"content": f" {text}" if group else text},
        **more,
    }


def card_callback(data: str, user: str = "7", group: str = "", **more: Any) -> dict[str, Any]:
    """As DingTalk tells that ``user`` pressed the button of a card."""
    private = {"actionIds": ["button1"], "params": {"data": data}}
    return {
        "type": "actionCallback",
        "outTrackId": "0b5c",
        "corpId": CORP,
        "userId": user,
        "userIdType": 1,
        "spaceType": "IM_GROUP" if group else "IM_ROBOT",
        "spaceId": group or user,
        "extension": "{}",
        "content": json.dumps({"cardPrivateData": private}),
        **more,
    }
