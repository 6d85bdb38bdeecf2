"""Slack's pure parts: signatures, what people wrote, plain text that stays plain, and the meaning of error codes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.bridges.messages import Button, RawEvent
from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.bridges.presenting import Part
from appliance.bridges.slack.answers import meaning
from appliance.bridges.slack.blocks import TEXT_LIMIT, content_of
from appliance.bridges.slack.calls import from_webhook, signature
from appliance.bridges.slack.config import SlackConfig
from appliance.bridges.slack.events import raw_event, read
from appliance.bridges.slack.words import readable
from appliance.outbox.errors import (
    DeliveryDeferred,
    DeliveryError,
    DeliveryRefused,
    NotReady,
    PlatformAway,
)
from tests.standins.slack_blocks import read_blocks
from tests.standins.slack_payloads import DIRECT, SIGNING, TEAM, event, press, signed

EXAMPLE = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
NOW = 1531420618.0


def said(text: str, channel: str = DIRECT, **more: Any) -> dict[str, Any]:
    return event(1, text, "U7", channel, more)


# --- calls ------------------------------------------------------------------------------------------


def call(payload: dict[str, Any], *, now: float = NOW, at: float = NOW, **change: Any) -> WebhookAnswer:
    headers, body = signed(payload, change.pop("secret", SIGNING), at)
    config = SlackConfig.model_validate(
        {
            "name": "slack",
            "auth": "BOT",
            "webhook": "https://box.example/slack",
            "signing_secret": "SIGN",
            "team": change.pop("team", None),
        }
    )
    given = {
        "method": "POST",
        "headers": {name.lower(): value for name, value in headers.items()},
        "query": {},
        "body": body,
        "now": datetime.fromtimestamp(now, UTC),
        "secret": "",
        "config": config,
        "secrets": {"SIGN": SIGNING},
        **change,
    }
    return from_webhook(WebhookRequest(**given))


def test_the_signature_is_the_documented_one() -> None:
    found = signature(SIGNING, "1531420618", EXAMPLE.encode())
    assert found == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_call_within_five_minutes_is_taken(seconds: int) -> None:
    payload = said("status")
    assert call(payload, at=NOW + seconds).events == [RawEvent(payload["event_id"], payload)]


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_older_call_is_refused_although_it_is_signed(seconds: int) -> None:
    with pytest.raises(WebhookRefused) as refused:
        call(said("status"), at=NOW + seconds)
    assert refused.value.status == 403


def test_a_challenge_is_answered_only_where_it_is_signed() -> None:
    challenge = {"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"}
    answer = call(challenge)
    assert (answer.events, answer.content_type) == ((), "application/json")
    assert answer.body == b'{"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd"}'
    with pytest.raises(WebhookRefused):
        call(challenge, secret="another")


def test_a_press_comes_as_a_form_and_has_a_name_of_its_own() -> None:
    payload = press(5, "w0rd", "U7", "C123", None)
    [found] = call(payload).events
    assert found == RawEvent("press/C123/1699000000.000009/1699000002.000005/U7", payload)


def test_a_repeat_has_the_same_name() -> None:
    first, again = call(said("run pump")), call(said("run pump"), at=NOW + 60, now=NOW + 60)
    assert [one.event_id for one in first.events] == [one.event_id for one in again.events]


def test_another_workspace_is_refused() -> None:
    assert call(said("status"), team=TEAM).events
    for payload in (said("status"), press(1, "w0rd", "U7", DIRECT, None)):
        with pytest.raises(WebhookRefused) as refused:
            call(payload, team="T0THER")
        assert refused.value.status == 403
        assert raw_event(payload, "T0THER") is None


def test_what_is_not_understood_is_taken_and_not_kept_and_what_is_broken_is_refused() -> None:
    limited: dict[str, Any] = {"type": "app_rate_limited", "team_id": TEAM}
    among_people = said("lunch?", "C123", type="message")
    odd: list[dict[str, Any]] = [{"type": ["x"]}, {"type": {}}, {}]
    for payload in (limited, among_people, *odd):
        assert call(payload).events == ()
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"payload=%7B", b"ssl_check=1", b"payload=1&payload=2", b"payload=[]", b"\xff"):
        stamp = str(int(NOW))
        proof = {
            "x-slack-request-timestamp": stamp,
            "x-slack-signature": signature(SIGNING, stamp, body),
        }
        with pytest.raises(WebhookRefused) as refused:
            call(limited, body=body, headers={**form, **proof})
        assert refused.value.status == 400
    with pytest.raises(WebhookRefused) as refused:
        call(limited, method="GET")
    assert refused.value.status == 405


# --- what people say --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status", "status"),
        ("<@UBOT> status", "status"),
        ("<@UBOT|millwright>: stop", "stop"),
        ("<@UBOT> <@U2>,\n run <http://pump.main|pump.main>", "run pump.main"),
        ("deny 4 see <https://x.example/a?b=1&amp;c>", "deny 4 see https://x.example/a?b=1&c"),
        ("hi <@U2> in <#C1|general> and <!here> <!subteam^S1|@crew>", "hi @U2 in #general and @here @crew"),
        ("a &lt;b&gt; &amp;lt; c", "a <b> &lt; c"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<@UBOT>", ""),
        ("< <@", "< <@"),
    ],
)
def test_what_was_written_is_read_without_slacks_marks(text: str, expected: str) -> None:
    assert readable(text) == expected


@pytest.mark.parametrize(
    "payload",
    [
        said("x", bot_id="B1"),
        said("x", subtype="bot_message"),
        said("x", subtype="message_changed"),
        said("x", edited={"user": "U7", "ts": "1"}),
        said("x", user="USLACKBOT"),
        said("x", "C123", type="message", channel_type="channel"),
        said("x", "G7", type="message", channel_type="mpim"),
        said(" "),
        said("x", user=None),
        {"type": "event_callback", "event_id": "Ev1"},
        {"type": "block_actions", "actions": []},
        {**press(1, "w", "U7", DIRECT, None), "container": {"type": "view", "view_id": "V1"}},
    ],
)
def test_bots_edits_and_talk_among_people_are_not_listened_to(payload: dict[str, Any]) -> None:
    found = read(payload)
    assert found is None or found.said() == []
    assert raw_event(payload, None) is None


def test_a_channel_is_not_private_and_a_thread_is_answered_in_its_place() -> None:
    found = read(said("status", "C123", thread_ts="1699000000.000001"))
    assert found is not None
    [message] = found.said()
    assert (message.conversation, message.private, message.text) == (
        "C123/1699000000.000001",
        False,
        "status",
    )
    root = said("status", "C123", ts="1699000000.000001", thread_ts="1699000000.000001")
    direct = read(root), read(said("status"))
    assert [one.said()[0].conversation for one in direct if one] == ["C123", DIRECT]
    assert direct[1] is not None
    assert direct[1].said()[0].private


def test_only_the_boxs_own_buttons_are_pressed() -> None:
    payload = press(1, "w0rd", "U7", "C123", "1699000000.000001")
    found = read(payload)
    assert found is not None
    [message] = found.said()
    assert (message.text, message.pressed, message.private) == ("w0rd", True, False)
    assert (message.conversation, message.user_id) == ("C123/1699000000.000001", "U7")
    payload["actions"][0]["action_id"] = "somebody-elses"
    other = read(payload)
    assert other is not None
    assert other.said() == []


# --- plain text -------------------------------------------------------------------------------------

HOSTILE = [
    "<!channel> <@U1> <#C1> <http://evil.example|ok>",
    ":fire: *b* _i_ ~s~ `c` > q",
    "&amp; &lt; &",
    "\N{FIRE}" * TEXT_LIMIT,
    "\u202edrowssap\u202c zero\u200bwidth",
    "\n".join(f"ERROR <{number}> & so on" for number in range(100)),
    "&" * TEXT_LIMIT,
    "<" * 1199 + "\n" + ">" * 1200,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_comes_alive_and_nothing_is_lost(text: str) -> None:
    content = content_of(Part(text, title="<b> & :fire:"))
    seen = read_blocks(content["blocks"])
    assert seen.alive == []
    assert seen.lines[0] == "<b> & :fire:"
    assert "".join("".join(seen.lines[1:]).split()) == "".join(text.split())
    assert len(seen.lines) == 2 or len(text) > 600
    assert "<" not in str(content["text"])


def test_lines_stay_whole_where_a_text_is_more_than_one_section() -> None:
    text = "\n".join(f"line {number} " + "&" * 60 for number in range(30))
    seen = read_blocks(content_of(Part(text))["blocks"])
    assert len(seen.lines) > 1
    assert seen.text == text


def test_titles_and_labels_that_are_too_long_when_escaped() -> None:
    part = Part("x", "&" * 100, (Button("&" * 75, "w1"), Button("ok", "w2")))
    blocks: Any = content_of(part)["blocks"]
    assert [one["type"] for one in blocks] == ["section", "section", "actions"]
    labels = [one["text"]["text"] for one in blocks[-1]["elements"]]
    assert labels == ["&amp;" * 14 + "…", "ok"]
    assert read_blocks(blocks).lines == ["&" * 100, "x"]
    with pytest.raises(DeliveryRefused):
        content_of(Part("x", buttons=(Button("ok", ""),)))


# --- error codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *(
            (code, NotReady)
            for code in ("invalid_auth", "token_revoked", "account_inactive", "token_expired")
        ),
        *((code, NotReady) for code in ("missing_scope", "not_allowed_token_type", "ekm_access_denied")),
        *((code, DeliveryRefused) for code in ("channel_not_found", "not_in_channel", "is_archived")),
        *((code, DeliveryRefused) for code in ("msg_too_long", "invalid_blocks", "never_heard_of_it")),
        *((code, DeliveryDeferred) for code in ("ratelimited", "rate_limited", "message_limit_exceeded")),
        *((code, PlatformAway) for code in ("internal_error", "fatal_error", "service_unavailable")),
    ],
)
def test_each_code_means_what_is_to_be_done(code: str, kind: type[DeliveryError]) -> None:
    error = meaning(
        {"ok": False, "error": code, "needed": "files:write"}, code, "Slack refuses the bot token"
    )
    assert type(error) is kind
    if code == "missing_scope":
        assert "files:write" in str(error.hint)
    if code in ("channel_not_found", "not_in_channel"):
        assert "/invite" in str(error.hint)
    assert error.maybe_sent == (code in ("internal_error", "fatal_error"))


# --- the configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"webhook": "https://box.example/slack"}, "expected signing_secret"),
        ({"signing_secret": "SIGN"}, "expected webhook"),
        ({"team": "works"}, "should match"),
        ({"token": "x"}, "not permitted"),
    ],
)
def test_a_wrong_configuration_is_said(keys: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SlackConfig.model_validate({"name": "slack", "auth": "BOT", **keys})
