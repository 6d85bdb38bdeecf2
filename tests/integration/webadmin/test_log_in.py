"""Logging in: the password, the second step, and what happens to those who guess."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from allauth.mfa.models import Authenticator
from axes.models import AccessAttempt
from django.core.cache import cache
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.audit.models import AuditRecord
from tests.authenticator import code, wrong
from tests.visitor import PASSWORD, is_in, kinds, password, second
from webadmin.login import guesses, noted

People = Callable[[Role], User]


@pytest.fixture(autouse=True)
def _nobody_has_guessed() -> None:
    cache.clear()


def test_the_password_lets_in_who_has_no_second_step(person: People) -> None:
    person(Role.VIEWER)
    client = Client()
    assert password(client, "viewer", "something-else") == ""
    assert password(client, "nobody") == ""
    assert not is_in(client)
    assert password(client, "viewer") == "/"
    assert is_in(client)
    assert client.post("/logout/")["Location"] == "/login/"
    assert not is_in(client)


def test_one_comes_back_to_where_one_was_going_and_never_elsewhere(person: People) -> None:
    person(Role.VIEWER)
    form = {"username": "viewer", "password": PASSWORD}
    assert Client().post("/login/", form | {"next": "/runs/"})["Location"] == "/runs/"
    assert Client().post("/login/", form | {"next": "//elsewhere.example/"})["Location"] == "/"


def test_a_right_code_lets_in_and_a_wrong_one_does_not(ana: tuple[str, str, list[str]]) -> None:
    name, secret, _ = ana
    client = Client()
    assert password(client, name) == "/login/code/"
    assert not is_in(client)
    assert second(client, wrong(secret)) == ""
    assert second(client, "") == ""
    assert not is_in(client)
    assert second(client, code(secret, steps=-1)) == "/"
    assert is_in(client)


def test_a_code_serves_once(ana: tuple[str, str, list[str]]) -> None:
    name, secret, _ = ana
    first, thief = Client(), Client()
    digits = code(secret, steps=1)
    for client in (first, thief):
        assert password(client, name) == "/login/code/"
    assert second(first, digits) == "/"
    # allauth alone forgets a used code after half a minute, while this one lives for longer.
    user = User.objects.get(username=name)
    assert cache.delete(f"allauth.mfa.totp.used?user={user.pk}&code={digits}")
    assert second(thief, f"{digits[:3]} {digits[3:]}") == ""
    assert second(thief, digits) == ""
    assert not is_in(thief)


def test_a_recovery_code_lets_in_once_and_is_on_record(ana: tuple[str, str, list[str]]) -> None:
    name, _, codes = ana
    client = Client()
    password(client, name)
    assert second(client, codes[3]) == "/"
    assert kinds(name)[-2:] == ["account.recovery_code_used", "login.done"]
    again = Client()
    password(again, name)
    assert second(again, codes[3]) == ""
    cache.clear()
    assert second(again, codes[3]) == ""
    assert second(again, codes[4]) == "/"


def test_the_second_step_is_asked_in_the_session_that_gave_the_password(
    ana: tuple[str, str, list[str]],
) -> None:
    _, secret, _ = ana
    stranger = Client()
    assert second(stranger, code(secret)) == "/login/"
    assert not is_in(stranger)


def test_the_raw_rows_have_no_log_in_of_their_own(ana: tuple[str, str, list[str]]) -> None:
    name, _, _ = ana
    client = Client()
    form = {"username": name, "password": PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", form)["Location"].startswith("/login/")
    assert client.get("/admin/").status_code == 302
    assert not is_in(client)


def test_guessing_passwords_is_slowed_down(person: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, "_few", noted.Few(each=100, together=100))
    person(Role.VIEWER)
    client, begun = Client(), datetime.now(UTC)
    cache.clear()
    for _ in range(8):
        password(client, "viewer", "a-wrong-guess-1")
    answer = client.post("/login/", {"username": "viewer", "password": PASSWORD})
    assert answer.status_code == 429
    assert "Too many tries" in answer.content.decode()
    assert not is_in(client)
    password(client, "viewer", "a-wrong-guess-1")
    cache.clear()
    for _ in range(9):
        password(client, "my-secret-in-the-wrong-field", "a-wrong-guess-1")
    told = AuditRecord.objects.filter(kind="login.locked", at__gte=begun).order_by("seq")
    assert list(dict.fromkeys(one.principal for one in told)) == ["user:viewer", "stranger"]
    assert "wrong-field" not in "".join(one.body for one in told)


def test_guessing_a_persons_password_is_slowed_down_wherever_it_comes_from(
    person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the person where they are logged in, and not for others."""
    monkeypatch.setattr(guesses, "MANY", 10)
    for role in (Role.VIEWER, Role.OPERATOR):
        person(role)
    office, name = "192.0.2.200", "viewer"
    assert password(Client(REMOTE_ADDR=office), name) == "/"
    for guess in range(10):
        assert password(Client(REMOTE_ADDR=f"192.0.2.{guess}"), name, f"a-wrong-guess-{guess}") == ""
    form = {"username": name, "password": PASSWORD}
    client = Client(REMOTE_ADDR="192.0.2.99")
    assert client.post("/login/", form).status_code == 429
    assert not is_in(client)
    assert password(Client(REMOTE_ADDR=office), name) == "/"
    assert password(Client(REMOTE_ADDR="192.0.2.99"), "operator") == "/"
    AccessAttempt.objects.update(attempt_time=datetime.now(UTC) - timedelta(minutes=16))
    assert password(Client(REMOTE_ADDR="192.0.2.99"), name) == "/"


def test_guessing_codes_is_slowed_down_for_the_person_wherever_it_comes_from(
    ana: tuple[str, str, list[str]],
) -> None:
    name, secret, _ = ana
    for guess in range(5):
        client = Client(REMOTE_ADDR=f"192.0.2.{guess}")
        password(client, name)
        second(client, wrong(secret))
    client = Client(REMOTE_ADDR="192.0.2.99")
    password(client, name)
    answer = client.post("/login/code/", {"code": code(secret, steps=-1)})
    assert "Too many wrong tries" in answer.content.decode()
    assert not is_in(client)


def test_guessed_codes_count_in_the_database_too(ana: tuple[str, str, list[str]]) -> None:
    """A restart of the web process forgets the memory's count; this one stays."""
    name, secret, _ = ana
    client = Client()
    password(client, name)
    for _ in range(8):
        cache.clear()
        second(client, wrong(secret))
    cache.clear()
    assert client.post("/login/code/", {"code": code(secret, steps=-1)}).status_code == 429
    assert not is_in(client)


def test_the_secret_of_the_app_is_sealed(ana: tuple[str, str, list[str]]) -> None:
    _, secret, codes = ana
    rows = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in rows
    assert not any(one in rows for one in codes)
