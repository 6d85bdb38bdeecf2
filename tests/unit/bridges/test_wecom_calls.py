"""WeCom's calls: who calls is proved, what is hidden is opened strictly, and XML is only elements and text."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.bridges.wecom.config import WecomConfig
from appliance.bridges.wecom.crypto import Seal, Unreadable
from appliance.bridges.wecom.markup import Refused, read_xml
from appliance.bridges.wecom.receiving import from_webhook
from appliance.outbox.errors import NotReady
from tests.standins.wecom_calls import AES_KEY, AGENT, CORP, TOKEN, WecomCaller

NOW = 1_800_000_000.0
SECRETS = {"S": "secret", "T": TOKEN, "K": AES_KEY}

# The example of the documentation and of its libraries (developer.work.weixin.qq.com/document/path/90968).
EXAMPLE = {"T": "QDG6eK", "K": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"}
EXAMPLE_CORP = "wx5823bf96d3bd56c7"
QUESTION = {
    "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
    "timestamp": "1409659589",
    "nonce": "263014780",
    "echostr": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
}
MESSAGE = {
    "msg_signature": "477715d11cdb4164915debcba66cb864d751f3e6",
    "timestamp": "1409659813",
    "nonce": "1372623149",
}
ENCRYPT = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3"
    "TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gs"
    "ijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUa"
    "x5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIG"
    "HBZZIs2pDBS8R07+qN+E7Q=="
)


def config(**more: Any) -> WecomConfig:
    return WecomConfig.model_validate(
        {
            "name": "wecom",
            "corp_id": CORP,
            "agent_id": AGENT,
            "auth": "S",
            "token": "T",
            "encoding_aes_key": "K",
            "webhook": "https://box.example/in",
            **more,
        }
    )


def answered(
    query: dict[str, str],
    body: bytes = b"",
    method: str = "POST",
    *,
    now: float = NOW,
    secrets: dict[str, str] = SECRETS,
    **more: Any,
) -> WebhookAnswer:
    moment = datetime.fromtimestamp(now, UTC)
    return from_webhook(WebhookRequest(method, {}, query, body, moment, "", config(**more), secrets))


def status(*given: Any, **more: Any) -> int:
    with pytest.raises(WebhookRefused) as refused:
        answered(*given, **more)
    return refused.value.status


# --- the documentation's own example --------------------------------------------------------------


def test_the_documented_question_is_answered_with_what_was_hidden_in_it() -> None:
    answer = answered(
        QUESTION, method="GET", now=1409659589, secrets={**SECRETS, **EXAMPLE}, corp_id=EXAMPLE_CORP
    )
    assert answer.body == b"1616140317555161061"
    assert not answer.events


def test_the_documented_message_is_opened() -> None:
    body = f"<xml><ToUserName><![CDATA[{EXAMPLE_CORP}]]></ToUserName><Encrypt><![CDATA[{ENCRYPT}]]></Encrypt></xml>"
    answer = answered(
        MESSAGE,
        body.encode(),
        now=1409659813,
        secrets={**SECRETS, **EXAMPLE},
        corp_id=EXAMPLE_CORP,
        agent_id=218,
    )
    [event] = answer.events
    assert event.payload["FromUserName"] == "mycreate"
    assert event.payload["Content"] == "hello"
    assert event.event_id == event.payload["MsgId"]
    assert not answer.body


# --- who calls -------------------------------------------------------------------------------------


def test_a_call_is_believed_for_five_minutes() -> None:
    caller = WecomCaller()
    given = caller.call(caller.message("status"), NOW)
    for off in (-299, 0, 299):
        assert answered(*given, now=NOW + off).events
    for off in (-301, 301):
        assert status(*given, now=NOW + off) == 403


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_what_is_missing_or_changed_in_the_address_is_not_believed(name: str) -> None:
    caller = WecomCaller()
    query, body = caller.call(caller.message("status"), NOW)
    assert status({**query, name: query[name][:-1] + "x"}, body) == 403
    assert status({key: value for key, value in query.items() if key != name}, body) == 403


def test_another_message_under_a_good_signature_is_not_believed() -> None:
    caller = WecomCaller()
    query, _ = caller.call(caller.message("status"), NOW)
    _, other = caller.call(caller.message("stop"), NOW)
    assert status(query, other) == 403


def test_another_token_key_company_or_app_is_not_believed() -> None:
    for wrong in (
        WecomCaller(token="another"),
        WecomCaller(aes_key="k" * 42 + "A"),
        WecomCaller(corp="ww0000000000000000"),
        WecomCaller(agent=AGENT + 1),
    ):
        assert status(*wrong.call(wrong.message("status"), NOW)) == 403
        if wrong.agent == AGENT:
            assert status(wrong.question(b"42", NOW), method="GET") == 403


def test_another_method_is_none() -> None:
    assert status(WecomCaller().question(b"42", NOW), method="PUT") == 405


def test_the_key_must_look_like_one() -> None:
    for wrong in ("", "x" * 42, "x" * 44, "é" * 43, "x" * 42 + "-"):
        with pytest.raises(NotReady, match="encoding_aes_key"):
            answered({}, secrets={**SECRETS, "K": wrong})


def test_a_webhook_needs_both_its_secrets() -> None:
    for missing in ("token", "encoding_aes_key"):
        with pytest.raises(ValueError, match="expected token and encoding_aes_key"):
            config(**{missing: None})
    assert config(token=None, encoding_aes_key=None, webhook=None).webhook is None


@pytest.mark.parametrize("wrong", ["", "ann bob", "party:ops", "tag:", "ann|", "x" * 201])
def test_receivers_and_companies_look_like_some(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"expected members"):
        config(conversation=wrong)
    for good in ("ann", "ann|b.o-b@x_1", "@all", "party:2", "party:2|3", "tag:3"):
        assert config(conversation=good).conversation == good
    with pytest.raises(ValueError, match="expected the Company ID"):
        config(corp_id="my company")


# --- what is hidden ----------------------------------------------------------------------------------

SEAL = Seal.of(config(), SECRETS)


def padded(whole: bytes, count: int | None = None) -> bytes:
    count = 32 - len(whole) % 32 if count is None else count
    return whole + bytes([count]) * count


def whole(message: bytes, length: int | None = None, corp: str = CORP) -> bytes:
    return b"r" * 16 + struct.pack(">I", len(message) if length is None else length) + message + corp.encode()


@pytest.mark.parametrize("size", range(0, 66, 3))
def test_what_was_hidden_comes_out_whatever_its_length(size: int) -> None:
    assert SEAL.open(WecomCaller().sealed(b"m" * size)) == b"m" * size


def test_padding_is_looked_at_to_its_last_byte() -> None:
    caller, good = WecomCaller(), padded(whole(b"m" * 3))
    assert SEAL.open(caller.hidden(good)) == b"mmm"
    count = good[-1]
    assert count > 2
    for wrong in (
        good[:-1] + b"\x00",
        good[:-1] + bytes([count - 1]),
        good[:-1] + bytes([33]),
        padded(whole(b"m" * 25), 33),
        good[:-count] + b"\x01" + good[1 - count :],
    ):
        with pytest.raises(Unreadable):
            SEAL.open(caller.hidden(wrong))


def test_blocks_have_thirty_two_bytes() -> None:
    sixteen = whole(b"m" * 2)
    short = padded(sixteen, 16 - len(sixteen) % 16)
    assert len(short) % 32 == 16
    with pytest.raises(Unreadable):
        SEAL.open(WecomCaller().hidden(short))


def test_not_a_character_is_passed_over() -> None:
    sealed = WecomCaller().sealed(b"mmm")
    for wrong in (f"{sealed[:8]}!{sealed[8:]}", f"{sealed}\n", f" {sealed}"):
        with pytest.raises(Unreadable):
            SEAL.open(wrong)


def test_a_length_beyond_the_end_is_refused() -> None:
    for length in (100, 2**32 - 1, 4):
        with pytest.raises(Unreadable):
            SEAL.open(WecomCaller().hidden(padded(whole(b"mmm", length))))


@pytest.mark.parametrize("sealed", ["", "=", "a", "????", "é", "AAAA", "A" * 43])
def test_what_is_no_cipher_text_is_refused(sealed: str) -> None:
    with pytest.raises(Unreadable):
        SEAL.open(sealed)


# --- what is said ------------------------------------------------------------------------------------


def test_messages_are_known_by_their_number_and_presses_by_who_when_and_what() -> None:
    caller = WecomCaller()

    def name(plain: bytes) -> str:
        [event] = answered(*caller.call(plain, NOW)).events
        return event.event_id

    assert name(caller.message("status", number=7)) == name(caller.message("status", number=7)) == "7"
    assert name(caller.press("one")) == name(caller.press("one", code="another"))
    names = {
        name(caller.press("one")),
        name(caller.press("two")),
        name(caller.press("one", user="8")),
        name(caller.press("one", at=1348831861)),
        name(caller.press("one", task_id="t2")),
    }
    assert len(names) == 5
    assert len(name(caller.press("x" * 1000))) <= 200


def test_what_nobody_wants_is_taken_and_forgotten() -> None:
    caller = WecomCaller()
    for plain in (caller.event("enter_agent"), caller.event("LOCATION"), caller.message("  ")):
        answer = answered(*caller.call(plain, NOW))
        assert (list(answer.events), answer.body) == ([], b"")


# --- XML ---------------------------------------------------------------------------------------------


def test_elements_and_texts_are_read() -> None:
    inside = "<A><![CDATA[<b>&amp;]]></A><B>1 &lt; 2</B><C><D>x</D><D>y</D></C><E/>\n<F>错误 😀\u200f</F>"
    found = read_xml(f"<xml>{inside}</xml>".encode())
    assert found == {"A": "<b>&amp;", "B": "1 < 2", "C": {"D": ["x", "y"]}, "E": "", "F": "错误 😀\u200f"}


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><A>&b;</A></xml>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><xml><A>x</A></xml>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><A>&f;</A></xml>',
        b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]><xml><A>x</A></xml>',
        b"<!DOCTYPE x><xml><A>x</A></xml>",
        b'<?xml-stylesheet href="x"?><xml><A>x</A></xml>',
        b"<xml><A>&unknown;</A></xml>",
        b"<xml><A>&#0;</A></xml>",
        b"<xml><A>\x00</A></xml>",
        b"<xml><A>\xff</A></xml>",
        b"<xml><A>x</A>",
        b"<xml></xml><xml></xml>",
        b"<a>" * 9 + b"</a>" * 9,
        b"<a>" * 100_000,
        b"",
        b"{}",
    ],
)
def test_whatever_else_xml_can_do_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        read_xml(data)


def test_hostile_xml_is_refused_also_from_who_has_the_key() -> None:
    caller = WecomCaller()
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><MsgType>text</MsgType><Content>&a;</Content></xml>'
    assert status(*caller.call(bomb, NOW)) == 400
    assert status(caller.signed("", NOW), bomb) == 400
