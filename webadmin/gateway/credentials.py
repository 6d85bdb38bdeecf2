"""The token of a handshake, from its headers alone: what stands in an address ends up in logs and histories. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from webadmin.gateway.protocol import PREFIX, SUBPROTOCOL


def token_of(scope: Mapping[str, Any]) -> str | None:
    """From ``Authorization: Bearer``, or a subprotocol ``token.…``; None for none, or two different ones."""
    found = {
        word[len("bearer ") :].strip()
        for name, value in scope["headers"]
        if bytes(name).lower() == b"authorization"
        and (word := bytes(value).decode("latin-1").strip()).lower().startswith("bearer ")
    }
    offered: Sequence[str] = scope.get("subprotocols") or ()
    found |= {one[len(PREFIX) :] for one in offered if one.startswith(PREFIX)}
    return found.pop() if len(found) == 1 else None


def speaks_ours(scope: Mapping[str, Any]) -> bool:
    """Whether the client asks for this version. The token among its subprotocols is never given back."""
    return SUBPROTOCOL in (scope.get("subprotocols") or ())
