"""A person's own account: password, second step, recovery codes, and roles that must have a second step."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.tokens import issue_api_token
from appliance.accounts.two_step import has_two_step, reset_two_step
from tests.authenticator import code
from tests.visitor import CODES, PASSWORD, is_in, kinds, password, second, switch_on

People = Callable[[Role], User]


@pytest.fixture(autouse=True)
def _nobody_has_guessed() -> None:
    cache.clear()


def test_switching_off_asks_first_and_is_on_record(ana: tuple[str, str, list[str]], person: People) -> None:
    name, _, _ = ana
    client = Client()
    client.force_login(person(Role.ENGINEER))
    answer = client.post("/account/two-step/off/")
    assert answer["Location"].startswith("/account/confirm/")
    assert has_two_step(person(Role.ENGINEER))
    assert client.post(answer["Location"], {"password": "something-else"}).status_code == 200
    assert has_two_step(person(Role.ENGINEER))
    client.post(answer["Location"], {"password": PASSWORD})
    assert not has_two_step(person(Role.ENGINEER))
    assert not Authenticator.objects.exists()
    assert kinds(name)[-2:] == ["account.two_step_on", "account.two_step_off"]


def test_new_recovery_codes_end_the_old_ones(ana: tuple[str, str, list[str]]) -> None:
    name, secret, codes = ana
    client = Client()
    password(client, name)
    second(client, code(secret, steps=-1))
    assert client.post("/account/recovery-codes/new/")["Location"] == "/account/recovery-codes/"
    fresh = CODES.findall(client.get("/account/recovery-codes/").content.decode())
    assert len(fresh) == 10
    assert not CODES.findall(client.get("/account/recovery-codes/").content.decode())
    assert kinds(name)[-1] == "account.recovery_codes"
    other = Client()
    password(other, name)
    assert second(other, codes[0]) == ""
    assert second(other, fresh[0]) == "/"


def test_an_own_new_password_is_on_record_and_ends_other_browsers(person: People) -> None:
    person(Role.VIEWER)
    here, there = Client(), Client()
    password(here, "viewer")
    password(there, "viewer")
    form = {
        "oldpassword": "something-else",
        "password1": "anvil-and-tongs-8",
        "password2": "anvil-and-tongs-8",
    }
    assert "not your password" in here.post("/account/password/", form).content.decode()
    assert here.post("/account/password/", form | {"oldpassword": PASSWORD})["Location"] == "/account/"
    assert kinds("viewer")[-1] == "account.password"
    assert is_in(here)
    assert not is_in(there)
    assert password(Client(), "viewer", "anvil-and-tongs-8") == "/"


def test_a_reset_lets_the_password_alone_in_again(ana: tuple[str, str, list[str]]) -> None:
    name, _, _ = ana
    assert reset_two_step(name, CONSOLE)
    assert not reset_two_step(name, CONSOLE)
    assert kinds(name)[-1] == "account.two_step_reset"
    assert password(Client(), name) == "/"


def test_guessing_the_own_password_in_a_session_is_slowed_down(person: People) -> None:
    person(Role.VIEWER)
    client = Client()
    password(client, "viewer")
    form = {"password1": "anvil-and-tongs-8", "password2": "anvil-and-tongs-8"}
    for _ in range(8):
        cache.clear()
        client.post("/account/password/", form | {"oldpassword": "a-wrong-guess-1"})
    assert client.post("/account/password/", form | {"oldpassword": PASSWORD}).status_code == 429
    assert person(Role.VIEWER).check_password(PASSWORD)


@pytest.fixture
def engineers_need_two(settings: Settings) -> None:
    settings.CONFIG = settings.CONFIG.model_copy(update={"two_step_roles": frozenset({"engineer"})})


@pytest.mark.usefixtures("engineers_need_two")
def test_a_required_second_step_comes_before_everything_else(person: People) -> None:
    user = person(Role.ENGINEER)
    client = Client()
    password(client, "engineer")
    for path in ("/", "/runs/", "/account/", "/account/password/", "/admin/", "/tasks/new/", "/api/v1/docs"):
        assert client.get(path).headers.get("Location", "403") in ("/account/two-step/on/", "403"), path
    assert client.post("/stop/", {"level": "freeze"})["Location"] == "/account/two-step/on/"
    assert client.get("/api/v1/status").status_code == 403
    assert "Your role must log in in two steps" in client.get("/account/two-step/on/").content.decode()
    secret, _ = switch_on(client)
    assert is_in(client)
    assert client.post("/account/two-step/off/").status_code == 200
    assert has_two_step(user)
    assert password(other := Client(), "engineer") == "/login/code/"
    assert second(other, code(secret, steps=1)) == "/"


@pytest.mark.usefixtures("engineers_need_two")
def test_other_roles_and_programs_go_on(person: People) -> None:
    person(Role.VIEWER)
    client = Client()
    password(client, "viewer")
    assert is_in(client)
    token = issue_api_token(person(Role.ENGINEER), "robot", [Ability.VIEW], CONSOLE, datetime.now(UTC))
    answer = Client().get("/api/v1/status", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/login/code/",
        "/account/",
        "/account/two-step/on/",
        "/account/recovery-codes/new/",
        "/account/password/",
    ],
)
def test_the_pages_of_an_account_keep_the_strict_policy(path: str, ana: tuple[str, str, list[str]]) -> None:
    name, secret, _ = ana
    client = Client()
    password(client, name)
    if path != "/login/code/":
        second(client, code(secret, steps=-1))
    answer = client.get(path, follow=True)
    assert answer.status_code == 200
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert not re.search(r"<script>|\s(?:style|on[a-z]+)=[\"']", answer.content.decode())
