"""Who tried too often: what they are told, and that it is on record, once for each quarter of an hour."""

from typing import Any

from axes.helpers import get_client_ip_address
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts import trail
from appliance.accounts.models import User

TOO_MANY = 429


def answer(request: HttpRequest, original: HttpResponse | None, credentials: Any = None) -> HttpResponse:
    """Called by django-axes for every try while a name is locked at an address."""
    told = credentials or getattr(request, "axes_credentials", None) or {}
    name = str(told.get("username") or request.POST.get("username", ""))
    address = str(get_client_ip_address(request) or "")
    once = f"login.locked:{address}:{name[:150]}"
    if cache.add(once, True, timeout=int(settings.AXES_COOLOFF_TIME * 3600)):
        # Not what was typed: that may be a password in the wrong field.
        known = User.objects.filter(username=name[:150]).first()
        subject = known.principal.name if known else "user:?"
        trail.put("account.locked", "anonymous", subject, {"address": address})
    return render(request, "429.html", status=TOO_MANY)
