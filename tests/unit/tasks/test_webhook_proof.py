"""Who may call a webhook: the right caller in each of the four forms, and nobody else."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from django.http.request import HttpHeaders

from appliance.tasks.definition.triggers import WebhookSpec
from appliance.tasks.webhooks import WebhookRefused, verify

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "s3cret-of-the-hook"
BODY = b'{"action": "push"}'
STAMP = str(int(NOW.timestamp()))
NONCE = "nonce-12345678"


def spec(auth: str, **more: object) -> WebhookSpec:
    return WebhookSpec.model_validate({"name": "deploy", "auth": auth, **more})


def headers(values: Mapping[str, str]) -> Mapping[str, str]:
    """As the web server hands them over: looked up without regard to case."""
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in values.items()}
    return HttpHeaders(named)


def check(form: WebhookSpec, given: Mapping[str, str], body: bytes = BODY, secret: str = SECRET) -> str:
    return verify(form, secret, headers(given), body, NOW)


def sign(message: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def stamped(
    body: bytes = BODY, stamp: str = STAMP, nonce: str = NONCE, secret: str = SECRET
) -> dict[str, str]:
    return {
        "X-Millwright-Timestamp": stamp,
        "X-Millwright-Nonce": nonce,
        "X-Millwright-Signature": sign(f"{stamp}.{nonce}.".encode() + body, secret),
    }


def test_a_bearer_token_opens() -> None:
    assert check(spec("bearer"), {"authorization": f"Bearer {SECRET}"}) == ""
    assert check(spec("bearer", header="X-Token"), {"X-Token": SECRET}) == ""


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", f"Basic {SECRET}", SECRET, f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}"],
)
def test_anything_but_the_bearer_token_is_refused(value: str) -> None:
    with pytest.raises(WebhookRefused):
        check(spec("bearer"), {"Authorization": value})


def test_a_basic_password_opens_for_any_user_unless_the_secret_names_one() -> None:
    assert check(spec("basic"), basic(f"anyone:{SECRET}")) == ""
    assert check(spec("basic"), basic(f"ci:{SECRET}"), secret=f"ci:{SECRET}") == ""
    with pytest.raises(WebhookRefused):
        check(spec("basic"), basic(f"other:{SECRET}"), secret=f"ci:{SECRET}")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /////w=="},
        basic(f"anyone:{SECRET}x"),
        basic(SECRET),
        {"Authorization": "Bearer " + base64.b64encode(f"a:{SECRET}".encode()).decode()},
    ],
)
def test_anything_but_the_password_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        check(spec("basic"), given)


def test_a_signature_of_the_body_opens_as_github_sends_it() -> None:
    given = {"X-Hub-Signature-256": f"sha256={sign(BODY)}"}
    assert check(spec("hmac"), given) == ""
    assert check(spec("hmac", header="X-Sig"), {"X-Sig": sign(BODY).upper()}) == ""


def test_the_header_that_names_a_delivery_makes_it_unique() -> None:
    given = {"X-Hub-Signature-256": f"sha256={sign(BODY)}", "X-GitHub-Delivery": "d-1"}
    assert check(spec("hmac", dedupe="X-GitHub-Delivery"), given) == "d-1"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha256=",
        f"sha256={sign(BODY + b' ')}",
        f"sha256={sign(BODY, 'other')}",
        f"sha1={hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()}",
        sign(BODY)[:-1],
        "\u00fcber",
    ],
)
def test_anything_but_the_signature_of_this_body_is_refused(value: str) -> None:
    with pytest.raises(WebhookRefused):
        check(spec("hmac"), {"X-Hub-Signature-256": value})


def test_a_signature_with_time_stamp_and_nonce_opens_and_is_unique_by_its_nonce() -> None:
    assert check(spec("hmac_timestamp"), stamped()) == f"nonce:{NONCE}"


@pytest.mark.parametrize("part", ["X-Millwright-Timestamp", "X-Millwright-Nonce", "X-Millwright-Signature"])
@pytest.mark.parametrize("value", ["", "0", "12345678x"])
def test_every_part_of_the_stamped_form_is_bound_by_the_signature(part: str, value: str) -> None:
    with pytest.raises(WebhookRefused):
        check(spec("hmac_timestamp"), {**stamped(), part: value})


def test_a_signed_body_cannot_be_exchanged() -> None:
    with pytest.raises(WebhookRefused, match="does not fit"):
        check(spec("hmac_timestamp"), stamped(), body=b"{}")


@pytest.mark.parametrize("seconds", [-301, 301, -86400 * 365, 10**10])
def test_a_time_stamp_outside_the_window_is_refused_either_way(seconds: int) -> None:
    with pytest.raises(WebhookRefused, match="too old or too far ahead"):
        check(spec("hmac_timestamp"), stamped(stamp=str(int(NOW.timestamp()) + seconds)))


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_a_time_stamp_inside_the_window_opens(seconds: int) -> None:
    check(spec("hmac_timestamp"), stamped(stamp=str(int(NOW.timestamp()) + seconds)))


def test_the_window_is_the_trigger_s_own() -> None:
    strict = spec("hmac_timestamp", tolerance="10s")
    old = str(int((NOW - timedelta(seconds=11)).timestamp()))
    with pytest.raises(WebhookRefused, match="too old"):
        check(strict, stamped(stamp=old))


@pytest.mark.parametrize(
    ("stamp", "nonce"),
    [
        ("1e9", NONCE),
        ("-5", NONCE),
        ("9" * 13, NONCE),
        (STAMP, "short"),
        (STAMP, "n" * 129),
        (STAMP, "a.b c!d.e"),
    ],
)
def test_a_malformed_time_stamp_or_nonce_is_refused_though_it_is_signed(stamp: str, nonce: str) -> None:
    with pytest.raises(WebhookRefused, match="are needed"):
        check(spec("hmac_timestamp"), stamped(stamp=stamp, nonce=nonce))


@pytest.mark.parametrize("auth", ["bearer", "basic", "hmac", "hmac_timestamp"])
def test_an_empty_secret_opens_nothing(auth: str) -> None:
    given = {
        **stamped(secret=""),
        "Authorization": "Bearer ",
        "X-Hub-Signature-256": f"sha256={sign(BODY, '')}",
    }
    with pytest.raises(WebhookRefused, match="empty secret"):
        check(spec(auth), given, secret="")


@pytest.mark.parametrize("auth", ["bearer", "basic", "hmac", "hmac_timestamp"])
def test_a_call_that_proves_nothing_is_refused_in_every_form(auth: str) -> None:
    with pytest.raises(WebhookRefused):
        check(spec(auth), {})
