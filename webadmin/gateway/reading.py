"""From what a client sends to a frame of the protocol, or to what it is told instead. Pure."""

import json

from pydantic import ValidationError

from appliance.lib.plain import plain_text
from webadmin.gateway import flow, protocol
from webadmin.gateway.errors import Close, Over


def read(text: str | None, rate: flow.Rate, now: float) -> protocol.Frame | protocol.Error:
    """The frame, or the answer to one that is not heeded. Raises Over. ``now``: monotonic seconds."""
    if text is None or len(text.encode(errors="replace")) > flow.LARGEST_FRAME:
        raise Over(Close.TOO_LARGE, f"a frame is a text of at most {flow.LARGEST_FRAME} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Over(Close.UNREADABLE, "a frame is a JSON object", 'as in {"type": "hello", "version": 1}')
    name = content.get("id")
    id_ = plain_text(name)[:100] if isinstance(name, str) else None
    if not rate.passes(now):
        if rate.is_too_much:
            raise Over(Close.TOO_FAST, "too many frames", f"at most {flow.RATE:g} a second")
        return protocol.Error(
            id=id_, code="gateway.too_fast", message="too many frames", retry_after=rate.retry_after
        )
    try:
        return protocol.FROM_CLIENT.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"][1:]))
        message = f"{where}: {first['msg']}" if where else first["msg"]
        return protocol.Error(
            id=id_,
            code="gateway.invalid",
            message=message,
            hint="docs/reference/gateway.md says what is expected",
        )
