"""Logging in and out, and the language of the screens."""

from typing import Any

from allauth.account.views import LoginView, LogoutView
from allauth.mfa.base.views import AuthenticateView
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from appliance.accounts.models import Language, User
from appliance.accounts.services import admin_exists, set_language
from appliance.audit.services import append_here

YEAR = 365 * 24 * 3600


class LogIn(LoginView):
    template_name = "accounts/login.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Nobody can log in to a box that nobody has set up: say how that is done instead."""
        return {**super().get_context_data(**kwargs), "nobody_yet": not admin_exists()}


class Code(AuthenticateView):
    """The second step of a log-in. Until it is done, nobody is logged in."""

    template_name = "accounts/code.html"


class LogOut(LogoutView):
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        who = request.user.principal.name if isinstance(request.user, User) else ""
        response: HttpResponse = super().post(request, *args, **kwargs)
        if who:
            append_here("login.left", who, who, {})
        return response


def remember_language(response: HttpResponse, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=YEAR,
        samesite="Lax",
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
    )


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Back to where one was, in the other language. Remembered for the person, or for the browser."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = "/"
    response = redirect(back)
    wanted = request.POST.get("language", "")
    if wanted in Language.values:
        remember_language(response, wanted)
        if isinstance(request.user, User):
            set_language(request.user, Language(wanted))
    return response
