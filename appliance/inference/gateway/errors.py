"""What a client is told when it gets no answer, in OpenAI's own form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.accounts.principal import NotAllowed
from appliance.inference.errors import (
    EngineAbsent,
    ModelAnswerBad,
    ModelBusy,
    ModelRefused,
    ModelUnavailable,
    ModelUnknown,
)
from appliance.lib.errors import MillwrightError

INVALID, SERVER = "invalid_request_error", "server_error"
_SOON = 5.0
_STATUS: Mapping[type[MillwrightError], tuple[int, str]] = {
    ModelUnknown: (404, INVALID),
    ModelRefused: (400, INVALID),
    ModelBusy: (429, "rate_limit_error"),
    ModelUnavailable: (503, SERVER),
    EngineAbsent: (503, SERVER),
    NotAllowed: (403, "permission_error"),
}


@dataclass(eq=False)
class ApiError(Exception):
    """``param``: the field of the request that is at fault. ``headers``: what goes with the status."""

    status: int
    message: str
    type: str = INVALID
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())

    @property
    def body(self) -> bytes:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}, ensure_ascii=False).encode()


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, param=param, code=code)


def engine_failed(message: str) -> ApiError:
    """A model's engine broke off, or gave what is no answer."""
    return ApiError(502, message, SERVER, code="model.engine_failed")


def answer_bad(message: str) -> ApiError:
    """What the model said is no answer in the engine's own eyes; the engine is well, and another try may bring a better
    one."""
    return ApiError(502, message, SERVER, code=ModelAnswerBad.code)


def of(error: MillwrightError) -> ApiError:
    """As the box's own errors are told to a client."""
    status, kind = next((told for known, told in _STATUS.items() if isinstance(error, known)), (500, SERVER))
    headers: tuple[tuple[str, str], ...] = ()
    if status in (429, 503):
        after = error.retry_after if isinstance(error, ModelBusy) else _SOON
        headers = (("Retry-After", str(max(1, round(after)))),)
    known_name = isinstance(error, ModelUnknown)
    return ApiError(
        status,
        str(error),
        kind,
        param="model" if known_name else None,
        code="model_not_found" if known_name else error.code,
        headers=headers,
    )
