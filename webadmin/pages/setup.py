"""First run: a one-time link becomes the first administrator."""

from datetime import UTC, datetime

from django import forms
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from appliance.accounts.models import Language
from appliance.accounts.setup import redeem, token_is_valid
from appliance.lib.errors import MillwrightError
from webadmin.pages.accounts import remember_language
from webadmin.pages.password_link import NewPasswordForm


class SetupForm(NewPasswordForm):
    username = forms.CharField(label=_("User name"), max_length=150)
    language = forms.ChoiceField(label=_("Language"), choices=Language.choices)
    field_order = ("username", "password", "again", "language")


@never_cache
@sensitive_post_parameters("password", "again")
def setup(request: HttpRequest, token: str) -> HttpResponse:
    now = datetime.now(UTC)
    if not token_is_valid(token, now):
        return render(request, "accounts/setup_gone.html", status=410)
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user = redeem(token, data["username"], data["password"], now, language=Language(data["language"]))
        except MillwrightError as error:
            form.add_error(None, str(error))
        else:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            response = redirect("overview")
            remember_language(response, user.language)
            return response
    return render(request, "accounts/setup.html", {"form": form})
