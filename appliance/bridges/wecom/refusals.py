"""What WeCom's error codes mean for a message (developer.work.weixin.qq.com/document/path/90313)."""

import re

from appliance.bridges.api import Answer
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway

TOKEN_REFUSED = frozenset({40014, 41001, 42001})
"""The access token is wrong, missing or too old: a new one is fetched once."""
TASK_EXISTS = 42014
"""A card with this task_id was sent before."""

# Seconds: WeCom does not say how long.
_PATIENCE = {
    45009: 60.0,  # calls of a minute, an hour or a day are used up
    45033: 5.0,  # too many calls at the same time
}
_ONLY_A_PERSON = {
    40001: "the secret is wrong: enter the app's secret again",
    40013: "the corp_id is wrong: it stands under My Company",
    40056: "the agent_id is wrong: it stands on the app's page",
    40091: "the secret is another company's: enter the app's secret again",
    41002: "the corp_id is missing",
    41004: "the secret is missing",
    41011: "the agent_id is missing",
    48002: "the app may not call this interface: look at its rights",
    48004: "the app's authorization was taken back",
    50003: "the app is switched off: switch it on on its page",
    60020: "this box's address is not trusted: add it to the app's trusted IP addresses",
    301002: "agent_id and secret are of different apps",
    93000: "the robot's key is wrong, or it was removed from its group: take the key of a robot that is there",
    93004: "the robot was stopped by an administrator",
    93008: "the robot is not in its group any more",
}
_NEVER = {
    # What these say of a message holds for ever; for other codes WeCom's own words do.
    60011: "the recipient is outside of what the app may see",
    81013: "no such recipient, or outside of what the app may see",
    82001: "no such recipient, or outside of what the app may see",
}
_BUSY = -1
_FROM = re.compile(r"from ip: ([0-9a-fA-F.:]{3,45}?)(?=[,\s]|$)")


class TokenRefused(NotReady):
    """The access token; a new one may do."""


class WecomRefused(DeliveryRefused):
    """A code that means never; ``number`` is the code."""

    number = 0


def code_of(answer: Answer) -> int | None:
    """0 is success. None: the answer is not one of WeCom's."""
    code = answer.fields.get("errcode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def refusal(answer: Answer, words: str) -> DeliveryError:
    """The outbox's error for an answer that is no success. ``words`` are WeCom's, without secrets."""
    code = code_of(answer)
    if answer.status == 429 or code in _PATIENCE:
        pause = answer.retry_after or _PATIENCE.get(code or 0, 5.0)
        return DeliveryDeferred("WeCom asks for patience", retry_after=pause)
    if code is None or code == 0:
        return PlatformAway(
            f"WeCom cannot be reached: the answer is not WeCom's (status {answer.status})", maybe_sent=True
        )
    if code == _BUSY:
        return PlatformAway("WeCom is busy", maybe_sent=True)
    if code in TOKEN_REFUSED:
        return TokenRefused(f"WeCom refuses the access token ({code})", hint="enter the app's secret again")
    if code in _ONLY_A_PERSON:
        problem, _, todo = _ONLY_A_PERSON[code].partition(": ")
        return NotReady(f"WeCom: {problem} ({code})", hint=_with_address(todo, words) or None)
    shown = _NEVER.get(code) or words.partition(", hint:")[0]
    refused = WecomRefused(f"WeCom says: {shown} ({code})")
    refused.number = code
    return refused


def text_in(fields: JsonObject, name: str) -> str:
    """Empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _with_address(todo: str, words: str) -> str:
    """With the address from which WeCom saw the call, where it says so."""
    found = _FROM.search(words)
    return f"{todo} ({found[1]})" if found and todo else todo
