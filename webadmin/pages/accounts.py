"""Logging in, and the language of the screens."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from appliance.accounts.models import Language, User
from appliance.accounts.services import set_language

YEAR = 365 * 24 * 3600


class LogIn(LoginView):
    """The log-in page; whoever logs in reads their own language from then on."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        remember_language(response, form.get_user().language)
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
