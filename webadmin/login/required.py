"""Who must have a second step, and what they reach before they have one: the page that gives it to them."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.deprecation import MiddlewareMixin

from appliance.accounts.models import User
from appliance.accounts.two_step import has_two_step

REACHED = frozenset(
    {
        "mfa_activate_totp",
        "account_reauthenticate",
        "mfa_reauthenticate",
        "account_logout",
        "set_language",
        "healthz",
        "readyz",
        "metrics",
    }
)
"""Names of addresses that a person without a required second step can reach."""


def must_have_two_step(user: User) -> bool:
    """Whether the box asks for a second step of people with this role."""
    return user.role in settings.CONFIG.two_step_roles


def lacks_two_step(user: Any) -> bool:
    """Whether somebody is logged in who must set up a second step before anything else."""
    return isinstance(user, User) and must_have_two_step(user) and not has_two_step(user)


class RequireTwoStep(MiddlewareMixin):
    """Leads people whose role needs a second step to its set-up; programs with tokens go on."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        match = request.resolver_match
        if not settings.CONFIG.two_step_roles or (match and match.url_name in REACHED):
            return None
        if not lacks_two_step(request.user):
            return None
        if request.path.startswith("/api/"):
            return JsonResponse(
                {"detail": "your role must log in in two steps: set that up first"}, status=403
            )
        return redirect("mfa_activate_totp")
