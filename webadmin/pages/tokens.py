"""API tokens: keys of programs, each limited to what it needs, shown once and taken back at once."""

from datetime import UTC, datetime, timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from appliance.accounts import services
from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.accounts.tokens import issue_api_token, list_api_tokens, revoke_api_token
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE, cut, number_key
from webadmin.words import ABILITIES

LONGEST_LIST = 200
"""Names offered to choose from; any other can be typed."""


class TokenForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("What it is for"),
        max_length=100,
        widget=forms.TextInput(attrs={"placeholder": "grafana", "autocomplete": "off"}),
    )
    person = forms.CharField(
        label=gettext_lazy("Acts for"),
        max_length=150,
        widget=forms.TextInput(attrs={"list": "names", "autocapitalize": "none", "autocomplete": "off"}),
        help_text=gettext_lazy("It can never do more than this person, and ends with their account."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"),
        choices=list(ABILITIES.items()),
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.ChoiceField(
        label=gettext_lazy("Ends"),
        choices=[
            ("30", gettext_lazy("in 30 days")),
            ("90", gettext_lazy("in 90 days")),
            ("365", gettext_lazy("in a year")),
            ("", gettext_lazy("only when revoked")),
        ],
        required=False,
    )


@needs(Ability.MANAGE_USERS)
def tokens(request: HttpRequest) -> HttpResponse:
    return _page(request, _blank(request))


@never_cache
@require_POST
@needs(Ability.MANAGE_USERS)
def add(request: HttpRequest) -> HttpResponse:
    """The one answer that shows the token: it is part of this page only, never kept or redirected to."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    said, now = form.cleaned_data, datetime.now(UTC)
    try:
        text = issue_api_token(
            services.get_user(said["person"]),
            said["name"],
            [Ability(scope) for scope in said["scopes"]],
            person(request).principal,
            now,
            expires_at=now + timedelta(days=int(said["days"])) if said["days"] else None,
        )
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    return _page(request, _blank(request), made=text)


@require_POST
@needs(Ability.MANAGE_USERS)
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    if revoke_api_token(token_id, person(request).principal, datetime.now(UTC)):
        messages.success(request, _("The token has ended."))
    else:
        messages.error(request, _("That token had ended before."))
    return redirect("tokens")


def _blank(request: HttpRequest) -> TokenForm:
    return TokenForm(initial={"person": person(request).username, "scopes": [Ability.VIEW], "days": "90"})


def _page(request: HttpRequest, form: TokenForm, *, made: str = "", status: int = 200) -> HttpResponse:
    rows = list_api_tokens()
    before = number_key(request.GET.get("before", ""))
    if before:
        rows = rows.filter(pk__lt=before)
    found, following = cut(list(rows[: PAGE + 1]))
    context = {
        "tokens": found,
        "next": following,
        "now": datetime.now(UTC),
        "form": form,
        "made": made,
        "names": User.objects.filter(is_active=True).values_list("username", flat=True)[:LONGEST_LIST],
    }
    return render(request, "tokens.html", context, status=status)
