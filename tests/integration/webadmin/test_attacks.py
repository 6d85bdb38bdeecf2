"""What strangers try at the running web process: foreign pages, huge frames, ended tokens, invented addresses."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user, set_active
from appliance.accounts.sessions import browsers_of, end_session
from appliance.accounts.tokens import issue_api_token
from appliance.audit.models import AuditRecord
from appliance.lib.config import Config
from tests.integration.webadmin.web_process import web_process
from tests.visitor import PASSWORD
from tests.wait import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PROXIED = "10.9.9.9"
ADDRESSES = count(1)
Said = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def place(engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host and port of a web process that believes a proxy on loopback."""
    folder = tmp_path_factory.mktemp("web")
    with web_process(engines, folder, MILLWRIGHT_TRUSTED_PROXIES="127.0.0.1") as place:
        yield place


@pytest.fixture
def ann(place: str) -> User:
    return create_user("ann", PASSWORD, Role.VIEWER, BOX)


def cookie_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"millwright_session={client.session.session_key}"


def socket(place: str, cookie: str = "", **headers: str) -> ClientConnection:
    # Of one address only a few a minute are put on record.
    more = {"X-Forwarded-For": f"10.1.0.{next(ADDRESSES)}", **headers}
    if cookie:
        more["Cookie"] = cookie
    origin = more.pop("Origin", f"http://{place}")
    return connect(f"ws://{place}/ws/live", origin=origin or None, additional_headers=more)  # type: ignore[arg-type]  # an origin is a text


@pytest.fixture
def said(ann: User) -> Said:
    """The records of a kind since the test began: earlier ones cannot be deleted."""
    (newest,) = AuditRecord.objects.order_by("-seq").values_list("seq", flat=True)[:1]

    def since(kind: str) -> list[dict[str, Any]]:
        return [
            {"who": row.principal, "subject": row.subject, **json.loads(row.body)["detail"]}
            for row in AuditRecord.objects.filter(kind=kind, seq__gt=newest).order_by("seq")
        ]

    return since


def close_code(connection: ClientConnection) -> int:
    """With which the box ends it."""
    while True:
        try:
            connection.recv(timeout=15)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:1",  # another program on the same host
        "null",
        "",
        "https://{place}",
        "http://127.0.0.1.evil.example",
        "http://evil@{place}",
    ],
)
def test_a_foreign_page_opens_no_socket_even_with_the_cookie(
    place: str, ann: User, said: Said, origin: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        socket(place, cookie_of(ann), Origin=origin.format(place=place))
    assert refused.value.response.status_code == 403
    assert b"rigin" not in (refused.value.response.body or b"")
    record, *more = said("socket.refused")
    assert more == []
    assert record["who"] == "stranger"
    assert record["origin"] == (origin.format(place=place) or None)


def test_the_box_s_own_page_opens_one_and_a_stranger_does_not(place: str, ann: User) -> None:
    with socket(place, cookie_of(ann)) as own:
        own.send(json.dumps({"watch": "nothing"}))
        own.ping().wait(10)
    with pytest.raises(InvalidStatus) as refused:
        socket(place)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "message", ["x" * 2000, "y" * 100_000, b"\x00" * 10, "[" * 1000, "[" * 1_000_000], ids=len
)
def test_an_oversized_or_unreadable_message_ends_the_socket(
    place: str, ann: User, message: str | bytes
) -> None:
    with socket(place, cookie_of(ann)) as browser:
        browser.send(message)
        # A frame that is too large for the server itself drops the connection.
        assert close_code(browser) in (4400, 4413, 1006)
    with socket(place, cookie_of(ann)) as another:
        another.ping().wait(10)


def test_oversized_messages_are_on_record_with_who_sent_them(place: str, ann: User, said: Said) -> None:
    for size in (2000, 100_000):
        with socket(place, cookie_of(ann)) as browser:
            browser.send("x" * size)
            assert close_code(browser) in (4413, 1006)
    wait_for(lambda: len(said("socket.refused")) >= 2, 15, "both are on record")
    assert {(one["who"], one["case"]) for one in said("socket.refused")} == {("user:ann", "too large")}


@pytest.mark.parametrize(
    "end",
    [
        lambda ann: [end_session(ann, one.id, BOX) for one in browsers_of(ann, datetime.now(UTC))],
        lambda ann: set_active("ann", False, BOX),
    ],
    ids=["session ended", "locked out"],
)
def test_a_socket_ends_with_the_session_that_opened_it(
    place: str, ann: User, end: Callable[[User], object]
) -> None:
    cookie = cookie_of(ann)
    httpx.get(f"http://{place}/", headers={"Cookie": cookie}).raise_for_status()
    assert len(browsers_of(ann, datetime.now(UTC))) == 1
    with socket(place, cookie) as browser:
        browser.send(json.dumps({"after": ""}))
        browser.ping().wait(10)
        end(ann)
        assert close_code(browser) == 4401
    assert httpx.get(f"http://{place}/", headers={"Cookie": cookie}).status_code == 302


def test_an_ended_token_gets_the_same_answer_as_an_invented_one_and_is_on_record(
    place: str, ann: User, said: Said
) -> None:
    now = datetime.now(UTC)
    expired = issue_api_token(ann, "old", [Ability.VIEW], BOX, now, expires_at=now - timedelta(days=1))
    good = issue_api_token(ann, "new", [Ability.VIEW], BOX, now)
    answers = [call(place, token) for token in (expired, "mw_invented", "mw_" + "x" * 5000)]
    assert {(one.status_code, one.text) for one in answers} == {(401, answers[0].text)}
    assert "expired" not in answers[0].text
    assert call(place, good).status_code == 200
    assert said("token.refused") == [{"who": "token:ann/old", "subject": "token:ann/old", "case": "expired"}]


def call(place: str, token: str) -> httpx.Response:
    return httpx.get(f"http://{place}/api/v1/status", headers={"Authorization": f"Bearer {token}"})


def test_guesses_of_passwords_are_on_record_and_end_in_a_lock_out(place: str, ann: User, said: Said) -> None:
    with httpx.Client(
        base_url=f"http://{place}", headers={"X-Forwarded-For": f"6.6.6.6, {PROXIED}"}
    ) as thief:
        statuses = [guess(thief, f"wrong-{number}") for number in range(9)]
    assert statuses[:7] == [200] * 7
    assert statuses[-1] == 429
    assert said("login.refused")[0] == {
        "who": "user:ann",
        "subject": f"address/{PROXIED}",  # as the trusted proxy saw it, not as the caller says
        "step": "password",
    }
    assert len(said("login.refused")) <= 6
    body = " ".join(AuditRecord.objects.values_list("body", flat=True))
    assert "wrong-" not in body


def guess(thief: httpx.Client, password: str) -> int:
    page = thief.get("/login/").text
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    form = {"username": "ann", "password": password, "csrfmiddlewaretoken": token}
    return thief.post("/login/", data=form).status_code


def test_a_form_without_its_token_or_from_a_foreign_page_changes_nothing(place: str, ann: User) -> None:
    with httpx.Client(base_url=f"http://{place}", headers={"Cookie": cookie_of(ann)}) as browser:
        assert browser.post("/language/", data={"language": "zh-hans"}).status_code == 403
        page = browser.get("/account/")
        token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {"csrfmiddlewaretoken": token, "language": "zh-hans"}
        foreign = browser.post("/language/", data=form, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
    ann.refresh_from_db()
    assert ann.language == "en"


def test_every_answer_carries_what_keeps_browsers_safe(place: str) -> None:
    answer = httpx.get(f"http://{place}/login/", headers={"X-Forwarded-Proto": "https"})
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_host_that_is_not_the_box_s_is_refused(place: str) -> None:
    answer = httpx.get(f"http://{place}/login/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil.example" not in answer.text


def test_behind_tls_cookies_are_secure_and_browsers_keep_to_it(
    engines: Config, place: str, tmp_path: Path
) -> None:
    public = "https://box.example"
    with web_process(
        engines, tmp_path, MILLWRIGHT_PUBLIC_URL=public, MILLWRIGHT_TRUSTED_PROXIES="127.0.0.0/8"
    ) as other:
        headers = {"Host": "box.example", "X-Forwarded-Proto": "https"}
        answer = httpx.get(f"http://{other}/login/", headers=headers)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert "Secure" in answer.headers["Set-Cookie"]
        plain = httpx.get(f"http://{other}/login/", headers={"Host": "box.example"})
        assert "Strict-Transport-Security" not in plain.headers
