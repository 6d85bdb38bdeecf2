"""What Feishu's error codes mean for a message (open.feishu.cn: generic error codes, and those of each im/v1 call)."""

from appliance.bridges.api import Answer
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway

TOKEN_REFUSED = frozenset({4001, 20005, 20013, 99991661, 99991663, 99991664, 99991665, 99991668, 99991671})
"""The tenant_access_token: a new one is fetched once."""

# Seconds where the platform does not say how long: 5 a second to one chat, 1000 a minute in all.
_PATIENCE = {
    99991400: 5.0,  # frequency limit; the answer says until when
    230020: 2.0,  # frequency limit of a chat or a message
    11232: 5.0,
    11233: 5.0,
    11247: 5.0,
    230049: 2.0,  # a message with the same uuid is being sent
    18121: 2.0,
    1000040350: 60.0,  # 50 connections of this app are open
}
_ONLY_A_PERSON = {
    10014: "the app or its secret is not accepted; look at the app's page",
    11205: "the app has no bot; add the ability on its page",
    11207: "the app is not in use in this company",
    20009: "the app is not installed in this company",
    230006: "the app has no bot; add the ability on its page",
    234007: "the app has no bot; add the ability on its page",
    11223: "the app lacks the right to send messages",
    99991672: "the app lacks a right",
    99991676: "the app lacks a right",
    230027: "the app lacks a right",
    99991662: "the app is not in use in this company",
    99991673: "the app is not in use in this company",
    99991401: "the app's list of addresses does not have this box's",
    99991403: "this month's calls are used up",
    230036: "the company's key was deleted; ask its administrator",
    234041: "the company's key was deleted; ask its administrator",
    234042: "the company's storage does not work; ask its administrator",
}
_ITS_OWN_TROUBLE = frozenset(
    {1, 1500, 1503, 1551, 1557, 1642, 1663, 1665, 1668, 2200, 5000, 10101, 10105, 10500, 232096, 1000040343}
)
NOT_A_PICTURE = frozenset({234006, 234011, 234039})
"""Too large, of another format or with too many points for a picture: it goes as a file."""
RESET_HEADER = "x-ogw-ratelimit-reset"


class FeishuRefused(DeliveryRefused):
    """A code that means never; ``number`` is the code."""

    number = 0


def code_of(answer: Answer) -> int | None:
    """0 is success. None: the answer is not one of the platform's."""
    code = answer.fields.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def refusal(title: str, answer: Answer, words: str) -> DeliveryError:
    """The outbox's error for an answer that is no success. ``words`` are the platform's, without secrets."""
    code = code_of(answer)
    if answer.status == 429 or code in _PATIENCE:
        pause = _reset(answer) or answer.retry_after or _PATIENCE.get(code or 0, 5.0)
        return DeliveryDeferred(f"{title} asks for patience", retry_after=pause)
    if code is None:
        return PlatformAway(
            f"{title} cannot be reached: the answer is not {title}'s (status {answer.status})",
            maybe_sent=True,
        )
    if code in TOKEN_REFUSED:
        return NotReady(f"{title} refuses the app's id or secret", hint="enter them again")
    if code in _ONLY_A_PERSON:
        return NotReady(f"{title}: {_ONLY_A_PERSON[code]} ({code}: {words})")
    if code in _ITS_OWN_TROUBLE:
        return PlatformAway(f"{title} is out of order (code {code})", maybe_sent=True)
    refused = FeishuRefused(f"{title} says: {words} ({code})")
    refused.number = code
    return refused


def _reset(answer: Answer) -> float | None:
    """Seconds."""
    try:
        return max(0.0, float(answer.headers.get(RESET_HEADER, ""))) or None
    except ValueError:
        return None
