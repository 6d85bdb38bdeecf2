"""What DingTalk's answers mean. The OpenAPI has words for codes, the webhook of a robot has numbers."""

from django.utils.translation import gettext_noop

from appliance.bridges.api import Answer
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    NotReady,
    PlatformAway,
)

TITLE = "DingTalk"
TOKEN_REFUSED = gettext_noop("DingTalk refuses the token")
NOT_ITS_OWN = gettext_noop("DingTalk cannot be reached: the answer is not its own")
SILENT = gettext_noop("DingTalk does not answer on the long connection")
A_MOMENT, BAN, AN_HOUR = 30.0, 600.0, 3600.0
"""Seconds: the OpenAPI counts by the second or minute, a robot is banned for ten minutes, a quota is for a month."""

# Prefixes, the more special one first.
_TOKEN = ("InvalidAuthentication", "invalidParameter.token", "token.notExisted")
_LATER = ("Forbidden.AccessDenied.Qps", "Throttling", "requestOverLimit", "flowControl", "system.busy")
_AWAY = ("system.", "ServiceUnavailable", "InternalError", "unknown.send.result")
_PERSON = {
    "invalidClientIdOrSecret": "enter client_id and client_secret again",
    "authFailed": "enter client_id and client_secret again; the app must be published",
    "Forbidden.AccessDenied.IpNotInWhiteList": "add the box's address to the app's list of allowed addresses",
    "Forbidden": "give the app the permissions that docs/how-to/dingtalk.md names, and publish it",
    "invalidParameter.robotCode": "the app needs a published robot; check robot_code",
    "resource.not.found": "the app needs a published robot; check robot_code",
    "chatbotId.notAllow.sendOTO": "publish the app's robot, so that it may write to people",
    "robot.oto.notExist": "publish the app's robot, so that it may write to people",
    "bot.stopped": "switch the robot on again",
    "send.forbidden": "allow the robot to write there",
    "param.templateNotExist": "check card_template",
    "param.templateUnpublished": "publish the card template",
    "param.cardTemplateIdEmpty": "check card_template",
}
_ROBOT_PERSON = {
    300001: "enter the access_token of the robot's webhook address again",
    300005: "enter the access_token of the robot's webhook address again",
    400101: "enter the access_token of the robot's webhook address again",
    400013: "the group is gone: make a robot in another one",
    400102: "switch the robot on again in its group",
    400106: "the robot is gone: make another one, and enter its access_token",
}
_TOO_FAST = (130101, 410100, 90018)
_QUOTA, _SECURITY, _BUSY = 90030, 310000, -1


def code_of(answer: Answer) -> str:
    code = answer.fields.get("code")
    return code if isinstance(code, str) else ""


def not_its_own() -> PlatformAway:
    """A proxy answered, or a hotel's log-in page."""
    return PlatformAway(NOT_ITS_OWN, maybe_sent=True)


def refuses_token(answer: Answer) -> bool:
    """Whether another token may help."""
    return answer.status == 401 or code_of(answer).startswith(_TOKEN)


def refusal(answer: Answer, words: str) -> DeliveryError:
    """What the OpenAPI said instead of doing it. ``words``: its sentence, without secrets."""
    code, sentence = code_of(answer), _sentence(answer, words)
    if answer.status == 429 or code.startswith(_LATER):
        return DeliveryDeferred(f"{TITLE} asks for patience", retry_after=answer.retry_after or A_MOMENT)
    if code.startswith(_AWAY):
        return PlatformAway(sentence, maybe_sent=True)
    for prefix, hint in _PERSON.items():
        if code.startswith(prefix):
            return NotReady(sentence, hint=hint)
    if refuses_token(answer):
        return NotReady(TOKEN_REFUSED, hint=_PERSON["invalidClientIdOrSecret"])
    if answer.status == 403:
        return NotReady(sentence, hint=_PERSON["Forbidden"])
    return DeliveryRefused(sentence)


def robot_refusal(fields: JsonObject, status: int, words: str) -> DeliveryError | None:
    """What a robot's webhook said; None: it took the message."""
    code = fields.get("errcode")
    if code == 0:
        return None
    if code in _TOO_FAST or "too fast" in words or fields.get("punish") or status == 429:
        return DeliveryDeferred(f"{TITLE} bans the robot for ten minutes: {words}", retry_after=BAN)
    if code == _QUOTA:
        return DeliveryDeferred(
            f"{TITLE}'s quota of this organisation is used up: {words}", retry_after=AN_HOUR
        )
    if code == _SECURITY:
        return NotReady(f"{TITLE} says: {words} ({code})", hint=_security_hint(words))
    if isinstance(code, int) and code in _ROBOT_PERSON:
        return NotReady(f"{TITLE} says: {words} ({code})", hint=_ROBOT_PERSON[code])
    if code == _BUSY:
        return PlatformAway(f"{TITLE} is busy: {words}", maybe_sent=True)
    if code is None:
        return not_its_own()
    return DeliveryRefused(f"{TITLE} says: {words} ({code})")


def _security_hint(words: str) -> str:
    if "keyword" in words or "关键词" in words:
        return (
            "choose the signature as the robot's security setting instead of keywords, and enter its secret"
        )
    if "whitelist" in words or "白名单" in words:
        return "add the box's address to the robot's list, or choose the signature as its security setting"
    return "enter the robot's secret again, and check the box's clock"


def _sentence(answer: Answer, words: str) -> str:
    code = code_of(answer) or str(answer.status)
    return f"{TITLE} says: {words} ({code})" if words else f"{TITLE} says: {code}"
