"""Where somebody is logged in: listed for them and for administrators, ended from afar, at once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed
from appliance.accounts.services import create_user, set_active, set_password
from appliance.accounts.sessions import browsers_of, end_session, end_sessions
from appliance.audit.models import AuditRecord
from tests.visitor import PASSWORD, is_in, password

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _nothing_seen(settings: object) -> None:
    cache.clear()
    settings.STATIC_ROOT = None  # type: ignore[attr-defined]
    settings.WHITENOISE_AUTOREFRESH = True  # type: ignore[attr-defined]


@pytest.fixture
def ann() -> User:
    return create_user("ann", PASSWORD, Role.OPERATOR, BOX)


def logged_in(address: str = "10.0.0.5") -> Client:
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=FIREFOX)
    assert password(client, "ann") == "/"
    assert is_in(client)
    return client


def now() -> datetime:
    return datetime.now(UTC)


def test_one_sees_where_one_is_logged_in_and_logs_another_browser_out(ann: User) -> None:
    laptop, phone = logged_in(), logged_in("10.0.0.9")
    page = laptop.get("/account/").content.decode()
    assert page.count("Firefox, Linux") == 2
    assert "10.0.0.9" in page
    assert page.count("this one") == 1
    (other,) = [one for one in browsers_of(ann, now()) if one.ip == "10.0.0.9"]
    assert laptop.post("/account/log-out/", {"session": other.id})["Location"] == "/account/"
    assert not is_in(phone)
    assert is_in(laptop)
    (record,) = AuditRecord.objects.filter(kind="account.sessions_ended")
    assert (record.principal, record.subject) == ("user:ann", "user:ann")
    assert json.loads(record.body)["detail"] == {"count": 1, "from": ["10.0.0.9"]}


def test_all_others_end_and_the_one_that_asks_stays(ann: User) -> None:
    here, *others = [logged_in(f"10.0.0.{number}") for number in (1, 2, 3)]
    here.post("/account/log-out/")
    assert is_in(here)
    assert [is_in(one) for one in others] == [False, False]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ann, client: set_password("ann", "another-good-one-9", BOX),
        lambda ann, client: set_active("ann", False, BOX),
        lambda ann, client: client.post("/logout/"),
        lambda ann, client: end_sessions(ann, BOX),
    ],
)
def test_a_session_that_lets_nobody_in_is_not_listed(
    ann: User, spoil: Callable[[User, Client], object]
) -> None:
    client = logged_in()
    assert len(browsers_of(ann, now())) == 1
    spoil(ann, client)
    assert not is_in(client)
    assert browsers_of(User.objects.get(pk=ann.pk), now()) == []


def test_who_was_locked_out_logs_in_again_after_it(ann: User) -> None:
    client = logged_in()
    set_active("ann", False, BOX)
    set_active("ann", True, BOX)
    assert not is_in(client)


def test_nobody_ends_the_sessions_of_others_but_administrators(ann: User) -> None:
    logged_in()
    (own,) = browsers_of(ann, now())
    eve = create_user("eve", PASSWORD, Role.ENGINEER, BOX)
    with pytest.raises(NotAllowed):
        end_session(ann, own.id, eve.principal)
    with pytest.raises(NotAllowed):
        end_sessions(ann, eve.principal)
    assert not end_session(eve, own.id, eve.principal)  # not hers
    assert len(browsers_of(ann, now())) == 1
    assert end_session(ann, own.id, BOX)


def test_the_command_lists_and_ends_them(ann: User, capsys: pytest.CaptureFixture[str]) -> None:
    client = logged_in()
    call_command("users", "sessions", "ann")
    listed = capsys.readouterr().out
    assert "10.0.0.5" in listed
    assert "Mozilla/5.0 (X11; Linux" in listed
    number = listed.split()[0]
    call_command("users", "log-out", "ann", "--session", number)
    assert not is_in(client)
    with pytest.raises(CommandError, match=f"no session {number}"):
        call_command("users", "log-out", "ann", "--session", number)


def test_no_key_of_a_session_is_shown_to_anybody(ann: User) -> None:
    client = logged_in()
    key = client.cookies["millwright_session"].value
    create_user("root", PASSWORD, Role.ADMIN, BOX)
    admin = Client()
    admin.force_login(User.objects.get(username="root"))
    for page in (
        client.get("/account/"),
        admin.get("/person/ann/"),
        admin.get("/api/v1/people/ann/sessions"),
    ):
        assert page.status_code == 200
        assert key not in page.content.decode()
