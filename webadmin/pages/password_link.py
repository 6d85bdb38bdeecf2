"""A one-time link that an administrator handed over: its person chooses a password."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from appliance.accounts.errors import LinkEnded
from appliance.accounts.links import person_of, redeem
from appliance.lib.errors import MillwrightError


class NewPasswordForm(forms.Form):
    """A password, typed twice."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("At least 10 characters, nothing that others would try first."),
    )
    again = forms.CharField(
        label=gettext_lazy("Password again"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.get("password") != cleaned.get("again"):
            self.add_error("again", gettext_lazy("The two passwords differ."))
        return cleaned


@never_cache
@sensitive_post_parameters("password", "again")
def choose(request: HttpRequest, who: str, token: str) -> HttpResponse:
    user = person_of(who, token)
    if user is None:
        return render(request, "accounts/password_link_gone.html", status=410)
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            redeem(who, token, form.cleaned_data["password"])
        except LinkEnded:
            return render(request, "accounts/password_link_gone.html", status=410)
        except MillwrightError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Your password is set. Log in with it."))
            return redirect("account_login")
    return render(request, "accounts/password_link.html", {"form": form, "name": user.username})
