"""What can go wrong with models, in words for whoever asked."""

import re

from appliance.lib.errors import MillwrightError

TOO_LONG = "the request has about {tokens} tokens, and it takes {context}"
_TAKES = re.compile(TOO_LONG.format(tokens=r"\d+", context=r"(\d+)"))


def takes_at_most(error: MillwrightError) -> int | None:
    """The largest context that a refusal names as too small; None where size was not why."""
    return max(map(int, _TAKES.findall(error.message)), default=None)


class ModelUnknown(MillwrightError):
    code = "model.unknown"


class ModelRefused(MillwrightError):
    """The request, the file or the model is not one that this box takes."""

    code = "model.refused"


class ModelBusy(MillwrightError):
    """Too many wait already, or the deadline comes before an answer could. ``retry_after`` is seconds."""

    code = "model.busy"
    permanent = False

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class ModelUnavailable(MillwrightError):
    """Nothing of the chain can serve now: the message says why, with the numbers where it does not fit."""

    code = "model.unavailable"
    permanent = False


class KeeperAway(ModelUnavailable):
    """Who keeps the models does not answer: the service is down, or comes up."""

    code = "model.keeper_away"


class EngineAbsent(MillwrightError):
    """The backend cannot run on this machine: no engine, image, library or device; the hint says what to do."""

    code = "model.engine_absent"


class ModelAnswerBad(MillwrightError):
    """An answer came, and is not what was asked for. Another try may bring a better one."""

    code = "model.answer_bad"
    permanent = False

    def __init__(self, message: str, *, hint: str | None = None, said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.said = said
        """The answer as it came."""


class ModelAnswerCut(ModelAnswerBad):
    """It was longer than it might be."""


class ImportInterrupted(MillwrightError):
    """An import stopped on its way; what came so far is kept, and the same call goes on from there."""

    code = "model.import_interrupted"
    permanent = False
