"""Which browsers somebody is logged in with: kept up to date, and asked again for sockets that stay open."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from appliance.accounts.models import User
from appliance.accounts.sessions import seen

STEP = 300
"""Seconds between two looks at the same session: its last use is kept as exactly as people need it."""


class KnownBrowsers:
    """Keeps of each session from where it was last used: one statement in five minutes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        # Only of whom the page has asked for: /healthz answers without a database.
        user, key = getattr(request, "_cached_user", None), request.session.session_key
        if key and isinstance(user, User) and cache.add(mark_of(key), True, STEP):
            ip = get_adapter().get_client_ip(request)
            with contextlib.suppress(DatabaseError):  # away: the next page tries again
                seen(user, key, ip, request.headers.get("User-Agent", ""), datetime.now(UTC))
        return response


def mark_of(key: str) -> str:
    """Under which the cache knows that this session was looked at a moment ago."""
    return f"session.seen:{key}"


def user_of_session(key: str) -> User | None:
    """Whom a session lets in now, read anew: None after a log-out, an end from afar, a new password, a lock-out."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    found: Any = get_user(request)
    return None if isinstance(found, AnonymousUser) else found
