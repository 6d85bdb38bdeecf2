from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.db import connection

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import AccountRefused
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user, set_active, set_role
from appliance.accounts.tokens import authenticate, issue_api_token, revoke_api_token

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ana() -> User:
    return create_user("ana", "quiet-lathe-4711", Role.OPERATOR, CONSOLE)


def test_a_token_opens_its_scopes_and_no_more(ana: User) -> None:
    text = issue_api_token(ana, "ci", [Ability.RUN_TASKS], CONSOLE, NOW)
    token = authenticate(text, NOW)
    assert token is not None
    assert token.can(Ability.RUN_TASKS)
    assert not token.can(Ability.VIEW)
    assert token.principal.name == "token:ana/ci"
    assert text not in str(ApiToken.objects.values_list())


def test_a_token_never_does_more_than_its_person(ana: User) -> None:
    with pytest.raises(AccountRefused, match="manage_users"):
        issue_api_token(ana, "ci", [Ability.MANAGE_USERS], CONSOLE, NOW)
    text = issue_api_token(ana, "ci", [Ability.RUN_TASKS], CONSOLE, NOW)
    set_role("ana", Role.VIEWER, CONSOLE)
    token = authenticate(text, NOW)
    assert token is not None
    assert not token.can(Ability.RUN_TASKS)
    set_active("ana", False, CONSOLE)
    assert authenticate(text, NOW) is None


def test_a_revoked_or_expired_token_ends_at_once(ana: User) -> None:
    text = issue_api_token(ana, "a", [Ability.VIEW], CONSOLE, NOW)
    token = authenticate(text, NOW)
    assert token is not None
    assert revoke_api_token(token.pk, CONSOLE, NOW)
    assert not revoke_api_token(token.pk, CONSOLE, NOW)
    assert authenticate(text, NOW) is None
    short = issue_api_token(ana, "b", [Ability.VIEW], CONSOLE, NOW, expires_at=NOW + timedelta(hours=1))
    assert authenticate(short, NOW) is not None
    assert authenticate(short, NOW + timedelta(hours=1)) is None


def test_the_last_use_is_kept_to_the_minute(ana: User) -> None:
    text = issue_api_token(ana, "ci", [Ability.VIEW], CONSOLE, NOW)
    for seconds in (0, 30, 90):
        authenticate(text, NOW + timedelta(seconds=seconds))
        assert ApiToken.objects.get().last_used_at == NOW + timedelta(seconds=90 if seconds == 90 else 0)


@pytest.mark.parametrize("text", ["", "mw_", "mw_x\x00", "\ud800"])
def test_a_guess_opens_nothing(ana: User, text: str) -> None:
    assert authenticate(text, NOW) is None


def test_a_name_is_used_once_a_person(ana: User) -> None:
    issue_api_token(ana, "ci", [Ability.VIEW], CONSOLE, NOW)
    with pytest.raises(AccountRefused, match="already"):
        issue_api_token(ana, "ci", [Ability.VIEW], CONSOLE, NOW)


def test_it_is_kept_who_made_it_and_read_from_the_record_for_those_of_before(ana: User) -> None:
    admin = create_user("ada", "quiet-lathe-4712", Role.ADMIN, CONSOLE)
    issue_api_token(ana, "a/b", [Ability.VIEW], admin.principal, NOW)
    issue_api_token(ana, "lost", [Ability.VIEW], CONSOLE, NOW)
    assert [one.issued_by for one in ApiToken.objects.order_by("pk")] == ["user:ada", "console"]
    assert ApiToken.objects.get(name="a/b").principal.issuer == "ada"
    ApiToken.objects.filter(name="lost").update(name="of before the record's beginning")
    ApiToken.objects.update(issued_by=None)
    with connection.cursor() as cursor:
        cursor.execute(import_module("appliance.accounts.migrations.0004_issued_by").FROM_THE_RECORD)
        cursor.execute("SELECT accounts_issuer_of('token:ana/' || name) FROM accounts_apitoken ORDER BY id")
        assert cursor.fetchall() == [("ada",), ("?",)]
    assert [one.principal.issuer for one in ApiToken.objects.order_by("pk")] == ["ada", "?"]
