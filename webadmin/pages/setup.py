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


class SetupForm(forms.Form):
    username = forms.CharField(label=_("User name"), max_length=150)
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters, nothing that others would try first."),
    )
    again = forms.CharField(
        label=_("Password again"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    language = forms.ChoiceField(label=_("Language"), choices=Language.choices)

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.get("password") != cleaned.get("again"):
            self.add_error("again", _("The two passwords differ."))
        return cleaned


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
