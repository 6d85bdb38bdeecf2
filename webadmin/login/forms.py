"""The forms of logging in, with the product's words, and guesses of codes counted like guesses of passwords."""

from typing import Any

from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.core import context
from allauth.mfa import app_settings
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.contrib.auth.signals import user_login_failed
from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from appliance.accounts.two_step import Change, put_on_record
from appliance.lib.errors import MillwrightError
from webadmin.login.adapters import AccountAdapter, MfaAdapter
from webadmin.login.noted import note


class LogInForm(LoginForm):
    def add_prefix(self, field_name: str) -> str:
        """The box's own name for what allauth calls ``login``; password managers know it, and so does axes."""
        return str(super().add_prefix("username" if field_name == "login" else field_name))


class CountedCode(BaseAuthenticateForm):
    """A code of the app or a recovery code. Wrong ones count in django-axes, and no code serves twice."""

    def clean_code(self) -> str:
        request, who = context.request, {"username": self.user.username}
        if not AxesProxyHandler.is_allowed(request, who):
            request.axes_locked_out = True
            raise AccountAdapter().validation_error("too_many_login_attempts")
        try:
            code: str = super().clean_code()
            self._spend(code)
        except forms.ValidationError:
            user_login_failed.send(sender=__name__, credentials=who, request=request)
            address = str(request.META.get("REMOTE_ADDR", ""))
            note("login.refused", f"user:{self.user.username}", address, {"step": "code"})
            raise
        except MillwrightError as error:
            raise forms.ValidationError(str(error)) from error
        if self.authenticator.type == Authenticator.Type.RECOVERY_CODES:
            put_on_record(self.user, Change.CODE_USED)
        return code

    def _spend(self, code: str) -> None:
        """allauth forgets a used code after one period; with its tolerance a code lives for three."""
        lives = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
        digits = "".join(filter(str.isdigit, code))  # "123 456" and "123-456" are the same code
        if not cache.add(f"login.code:{self.user.pk}:{digits}", True, timeout=lives):
            raise MfaAdapter().validation_error("incorrect_code")


class CodeForm(CountedCode, AuthenticateForm):
    """The second step of a log-in."""


class CodeAgainForm(CountedCode, ReauthenticateForm):
    """The code once more, before something that matters."""


class OwnPasswordForm(ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {
            "oldpassword": _("Present password"),
            "password1": _("New password"),
            "password2": _("New password again"),
        }
        for name, label in labels.items():
            self.fields[name].label = label
            self.fields[name].widget.attrs.pop("placeholder", None)
        self.fields["oldpassword"].help_text = ""
        self.fields["password1"].help_text = _("At least 10 characters, nothing that others would try first.")

    def clean_oldpassword(self) -> str:
        """Through the same door as a log-in: wrong ones count."""
        password: str = self.cleaned_data["oldpassword"]
        if not AccountAdapter().reauthenticate(self.user, password):
            raise AccountAdapter().validation_error("enter_current_password")
        return password
