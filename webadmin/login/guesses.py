"""Guesses of one person's password and codes, from however many addresses they come."""

from typing import Any

from allauth.usersessions.models import UserSession
from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.db.models import Sum
from django.http import HttpRequest

MANY = 40
"""Wrong ones for one name within the time of a lock-out, after which addresses without a session have to wait."""


class Guesses(AxesDatabaseHandler):
    """django-axes counts for each name and address; who has a thousand addresses would have a thousand times as many.

    A person is not kept out by that: where they are logged in already, another try counts for its address alone.
    """

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """``request`` is Django's; axes hangs its marks on it."""
        if super().is_locked(request, credentials):
            return True
        if _is_guessed_from_many(request, credentials):
            request.axes_locked_out = request.guessed_from_many = True
            return True
        return False

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """A try that was turned away because of others counts for nobody: the name is free again in time."""
        if not getattr(request, "guessed_from_many", False):
            super().user_login_failed(sender, credentials, request, **kwargs)


def _is_guessed_from_many(request: HttpRequest, credentials: dict[str, Any] | None) -> bool:
    name = get_client_username(request, credentials)
    if not name:
        return False
    recent = AccessAttempt.objects.filter(username=name, attempt_time__gte=get_cool_off_threshold(request))
    if (recent.aggregate(all=Sum("failures_since_start"))["all"] or 0) < MANY:
        return False
    address = str(request.META.get("REMOTE_ADDR", ""))
    return not UserSession.objects.filter(user__username=name, ip=address).exists()
