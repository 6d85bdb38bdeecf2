"""Where django-allauth asks the product: its words, its account services, and what is sealed with the root key."""

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from appliance.accounts.models import User
from appliance.accounts.services import set_password
from appliance.audit.services import append_here
from appliance.safety.secrets import seal, unseal
from webadmin.login.noted import known_name, note
from webadmin.login.required import must_have_two_step
from webadmin.pages.accounts import remember_language

PURPOSE = "two-step log-in"
JUST_NOW = 300
"""Seconds after a log-in in which nobody is asked for the password again."""


class AccountAdapter(DefaultAccountAdapter):
    """Log-in with user name and password; nothing of sign-up, e-mail or other providers."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": _("User name and password do not fit together."),
        "incorrect_password": _("This is not your password."),
        "enter_current_password": _("This is not your password."),
        "too_many_login_attempts": _("Too many wrong tries. Wait a quarter of an hour."),
        "rate_limited": _("Too many wrong tries. Wait a quarter of an hour."),
    }

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Wrong passwords are counted by django-axes, in the database; not twice."""

    def post_login(self, request: HttpRequest, user: User, **how: Any) -> HttpResponse:
        """Whoever logs in reads their own language from then on."""
        response: HttpResponse = super().post_login(request, user, **how)
        remember_language(response, user.language)
        append_here("login.done", user.principal.name, user.principal.name, {"from": _address(request)})
        return response

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """A wrong password, on record. Of a name that nobody has only that it was none."""
        typed = str(credentials.get("username") or "")
        note("login.refused", known_name(typed), _address(request), {"step": "password"})

    def set_password(self, user: User, password: str) -> None:
        """Through the one door for passwords, so that the change is on record."""
        user.password = set_password(user.username, password, user.principal).password

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """A log-in a moment ago says as much as asking for the password once more."""
        records = get_authentication_records(context.request, context.request.user)
        if records and time.time() - records[-1]["at"] < JUST_NOW:
            return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))

    def is_ajax(self, request: HttpRequest) -> bool:
        return False

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """The pages say what happened, in their own words."""


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


class MfaAdapter(DefaultMFAAdapter):
    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is wrong or was used before."),
        "cannot_delete_authenticator": _("Your role must log in in two steps."),
    }

    def get_totp_issuer(self) -> str:
        return "Millwright"

    def get_totp_label(self, user: User) -> str:
        """Somebody with several boxes sees in their app which one a code is for."""
        return f"{user.username}@{context.request.get_host()}"

    def encrypt(self, text: str) -> str:
        return seal(PURPOSE, text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(PURPOSE, encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not must_have_two_step(authenticator.user)
