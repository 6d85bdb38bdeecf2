"""``/admin/``: rows of the box's own tables, to look at, without anything that opens a door."""

import re
from collections.abc import Callable

import pytest
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, reverse

from appliance.accounts.domain import Role
from webadmin.admin import ReadOnly

Browsers = Callable[[Role], Client]
HIDDEN = re.compile(r"password|digest|hash|session|secret|token|(^|_)key$|recovery|prev_hash")
HARMLESS = {("TaskVersion", "digest"), ("Platform", "digest"), ("OutboxRow", "key")}
"""Digests of texts that are shown anyway, and the name under which a message is sent once."""

REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)


def test_every_page_is_of_the_box_and_to_look_at_only() -> None:
    assert REGISTERED
    for model in REGISTERED:
        assert isinstance(admin.site._registry[model], ReadOnly), model._meta.label
        assert model.__module__.startswith("appliance."), model._meta.label


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_no_column_is_shown_that_opens_a_door(model: type[Model]) -> None:
    shown = admin.site._registry[model]
    hidden = set(shown.exclude or ())
    told = {field.name for field in model._meta.concrete_fields} - hidden
    told |= {column for column in shown.list_display if isinstance(column, str)} | set(shown.search_fields)
    doors = {name for name in told if HIDDEN.search(name) and (model.__name__, name) not in HARMLESS}
    assert doors == set()


def test_sessions_of_others_have_no_page(browser: Browsers) -> None:
    with pytest.raises(NoReverseMatch):
        reverse("admin:usersessions_usersession_changelist")
    client = browser(Role.ADMIN)
    client.get("/")
    row = UserSession.objects.first()
    pk = row.pk if row else 1
    assert client.get(f"/admin/usersessions/usersession/{pk}/change/").status_code == 404


@pytest.mark.parametrize(
    "path", ["accounts/user/?password__startswith=", "accounts/apitoken/?digest__startswith="]
)
def test_what_is_hidden_is_not_told_by_a_filter(browser: Browsers, path: str) -> None:
    """Django's own answer to a lookup that is not allowed."""
    assert browser(Role.ADMIN).get(f"/admin/{path}a").status_code == 400
