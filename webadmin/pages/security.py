"""A person's own account: password, second step, recovery codes, and proving once more who one is."""

from datetime import UTC, datetime
from typing import Any

from allauth.account.views import PasswordChangeView, ReauthenticateView
from allauth.mfa.base.views import IndexView
from allauth.mfa.base.views import ReauthenticateView as CodeAgainView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from appliance.accounts.sessions import browsers_of, end_session, end_sessions
from appliance.accounts.two_step import Change, put_on_record
from webadmin.login.required import must_have_two_step
from webadmin.pages.access import person
from webadmin.pages.paging import number_key


class Security(IndexView):
    """What protects one's account."""

    template_name = "accounts/security.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)
        authenticators = found["authenticators"]
        codes = authenticators.get(Authenticator.Type.RECOVERY_CODES)
        found["totp"] = authenticators.get(Authenticator.Type.TOTP)
        found["codes_left"] = len(codes.get_unused_codes()) if codes else 0
        found["required"] = must_have_two_step(person(self.request))
        here = self.request.session.session_key
        found["browsers"] = browsers_of(person(self.request), datetime.now(UTC), current=here)
        return found


@require_POST
@login_required
def log_out(request: HttpRequest) -> HttpResponse:
    """One other browser of one's own, or all others."""
    user, one = person(request), number_key(request.POST.get("session", ""))
    if one:
        ended = int(end_session(user, one, user.principal))
    else:
        ended = end_sessions(user, user.principal, but=request.session.session_key)
    if ended:
        messages.success(request, _("Logged out there."))
    else:
        messages.info(request, _("Nobody was logged in there any more."))
    return redirect("mfa_index")


class OwnPassword(PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("mfa_index")

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        messages.success(self.request, _("You have a new password. Your other browsers are logged out."))
        return response

    def get_default_success_url(self) -> str:
        return str(self.success_url)


class Confirm(ReauthenticateView):
    """The password once more, before something that matters."""

    template_name = "accounts/confirm.html"


class ConfirmByCode(CodeAgainView):
    template_name = "accounts/confirm.html"


@method_decorator(never_cache, name="dispatch")
class TwoStepOn(ActivateTOTPView):
    template_name = "accounts/two_step_on.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)
        found["required"] = must_have_two_step(person(self.request))
        return found

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        put_on_record(person(self.request), Change.ON)
        return response


class TwoStepOff(DeactivateTOTPView):
    template_name = "accounts/two_step_off.html"

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        put_on_record(person(self.request), Change.OFF)
        messages.success(self.request, _("Your password alone lets you in now."))
        return response


@method_decorator(never_cache, name="dispatch")
class RecoveryCodes(ViewRecoveryCodesView):
    """The codes, shown this once."""

    template_name = "accounts/recovery_codes.html"


class NewRecoveryCodes(GenerateRecoveryCodesView):
    template_name = "accounts/recovery_codes_new.html"

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        put_on_record(person(self.request), Change.NEW_CODES)
        return response
