"""Who may open a WebSocket: pages of the box itself. A browser sends its cookies along for every page there is."""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import validate_host

from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from webadmin.login.noted import note

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[Any]]

_SCHEMES = {"ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}


class OwnPagesOnly:
    """Refuses every socket whose ``Origin`` is not exactly this box's: scheme, host and port.

    Another port of the same host is another program. Without the header it is refused, too: all browsers send it. Only
    on the paths ``for_programs``, where no cookie counts, none is needed.
    """

    def __init__(self, application: Application, for_programs: Collection[str] = ()) -> None:
        self._application = application
        self._for_programs = for_programs

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in scope["headers"]}
        origin, host = headers.get(b"origin", ""), headers.get(b"host", "")
        free = b"origin" not in headers and scope["path"] in self._for_programs
        if free or is_own(origin, host, str(scope.get("scheme", "ws"))):
            return await self._application(scope, receive, send)
        client = scope.get("client")
        detail: JsonObject = {
            "origin": plain_text(origin)[:200] or None,
            "path": plain_text(str(scope["path"]))[:200],
        }
        await in_django(note, "socket.refused", "stranger", str(client[0]) if client else "", detail)
        return await WebsocketDenier()(scope, receive, send)


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of ``origin`` is one that this box served under ``host`` (or its public address)."""
    if origin and origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    found, wanted = _place(origin), _place(f"{_SCHEMES.get(scheme, scheme)}://{host}")
    return found is not None and found == wanted and validate_host(found[1], settings.ALLOWED_HOSTS)


def _place(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is none of it, such as ``null``."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path or parts.query or parts.username:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.scheme, name, port or _PORTS[parts.scheme]
