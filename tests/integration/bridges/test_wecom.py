"""WeCom against its stand-in: what an app sends, how it keeps its token, and what a press changes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.api import Answer
from appliance.bridges.messages import Attachment, Button
from appliance.bridges.models import Inbound
from appliance.bridges.ports import ProbeState
from appliance.bridges.registry import bridges
from appliance.bridges.wecom.bridge import PART_PAUSE, WecomBridge
from appliance.bridges.wecom.markup import read_xml
from appliance.bridges.wecom.refusals import refusal
from appliance.bridges.wecom.sending import MOST_PRESSES, Presses
from appliance.bridges.wecom_robot.bridge import PAUSE
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.identity import uuid7
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import chat_message, context, idle_pool
from tests.contract.bridges.members.wecom import SECRETS, app_config
from tests.standins.wecom import SECRET, TOKENS, WecomStandin
from tests.standins.wecom_calls import AES_KEY, TOKEN, WecomCaller
from tests.standins.wecom_shapes import UNSEEN

Make = Callable[..., WecomBridge]
SEND, UPDATE, GETTOKEN = "message/send", "update_template_card", "gettoken"
BUTTONS = (Button("Approve", "w0rd-1"), Button("Deny", "w0rd-2"))


@pytest.fixture
def wecom() -> Iterator[WecomStandin]:
    with WecomStandin() as standin:
        yield standin


@pytest.fixture
async def make(wecom: WecomStandin) -> AsyncIterator[Make]:
    made: list[WecomBridge] = []

    def build(clock: ManualClock | None = None, **more: Any) -> WecomBridge:
        given = context("wecom", pool=idle_pool(), config=app_config(wecom.root, **more), secrets=SECRETS)
        if clock:
            object.__setattr__(given, "clock", clock)
        made.append(WecomBridge(given, part_pause=0))
        return made[-1]

    yield build
    for bridge in made:
        await bridge.stop()


def said(text: str = "hi", **more: Any) -> Any:
    return chat_message(text, conversation=more.pop("conversation", "7"), **more)


async def press(bridge: WecomBridge, wecom: WecomStandin, key: str) -> None:
    task = wecom.sent[-1]["task_id"]
    payload = read_xml(WecomCaller().press(key, task_id=task, code=wecom.code_for(task)))
    [message] = await bridge.handle_event(payload)
    assert (message.text, message.pressed) == (key, True)


# --- what is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conversation", "field", "value"),
    [
        ("ann|bob", "touser", "ann|bob"),
        ("@all", "touser", "@all"),
        ("party:2", "toparty", "2"),
        ("tag:3", "totag", "3"),
    ],
)
async def test_members_parties_and_tags_are_written_to(
    wecom: WecomStandin, make: Make, conversation: str, field: str, value: str
) -> None:
    await make().send_message(said(conversation=conversation))
    [call] = wecom.asked(SEND)
    assert call.json[field] == value
    assert call.json["agentid"] == 1000002


async def test_who_was_not_reached_is_told(wecom: WecomStandin, make: Make) -> None:
    wecom.members = {"ann"}
    receipt = await make().send_message(said("line\n" * 800, conversation="ann|bob"))
    assert len(receipt.message_ids) == 2
    assert receipt.note == "not reached: bob"
    with pytest.raises(DeliveryRefused, match="no such recipient"):
        await make().send_message(said(conversation="bob"))


async def test_nothing_in_a_text_comes_alive(wecom: WecomStandin, make: Make) -> None:
    texts = [
        '<a href="http://evil.example">approve</a> <A HREF=x>y</A>',
        "<@all> <@ann>",
        "[微笑] [Smile] [OK] [强]",
        "$userName=ann$ &lt;a&gt;",
        "a\u202eevil\u202c \u200f\u200bb\ufeffc",
    ]
    bridge = make()
    for text in texts:
        await bridge.send_message(said(text))
        await bridge.send_message(said(text, title="[OK] <@all>", buttons=BUTTONS, id=uuid7()))
    cards = [one for one in wecom.sent if "task_id" in one]
    assert [one["shown"] for one in wecom.sent[::2]] == [text.replace(UNSEEN, "") for text in texts]
    assert [one["shown"] for one in cards] == [f"[OK] <@all>\n{text}".replace(UNSEEN, "") for text in texts]
    assert [one.json["enable_id_trans"] for one in wecom.asked(SEND)] == [0] * 10
    assert wecom.sent[-2]["raw"] == texts[-1], "marks that people cannot see go as they are"


async def test_ten_thousand_lines_of_a_log_arrive_as_five_messages_that_say_what_is_left_out(
    wecom: WecomStandin, make: Make
) -> None:
    await make().send_message(said("".join(f"[ERROR] <a 错误 {number}\n" for number in range(10_000))))
    assert len(wecom.texts) == 5
    assert all(len(one["raw"].encode()) <= 2048 for one in wecom.sent)
    assert "characters left out" in wecom.texts[-1]


async def test_what_is_too_long_for_a_card_stands_before_it(wecom: WecomStandin, make: Make) -> None:
    text = "x" * 150 + "\n" + "y" * 50
    receipt = await make().send_message(said(text, title="Valve 3 is to be opened", buttons=BUTTONS))
    assert wecom.texts == [f"Valve 3 is to be opened\n{text}", "Valve 3 is to be opened"]
    assert wecom.sent[1]["buttons"] == [("Approve", "w0rd-1"), ("Deny", "w0rd-2")]
    assert len(receipt.message_ids) == 2
    again = await make().send_message(said(text, buttons=BUTTONS, parts_done=1))
    assert len(again.message_ids) == 1
    assert wecom.texts[2:] == ["x" * 35 + "…"]


async def test_files_go_as_what_they_are(wecom: WecomStandin, make: Make) -> None:
    files = (
        Attachment("图.jpg", "image/jpeg", b"\xff\xd8\xff" + b"j" * 50),
        Attachment("anim.gif", "image/gif", b"GIF89a" + b"g" * 50),
        Attachment("five.txt", "text/plain", b"12345"),
    )
    await make().send_message(said("see", attachments=files))
    assert [one.get("kind") for one in wecom.sent] == [None, "image", "file"]
    assert wecom.files == [(one.name, one.content) for one in files[:2]]
    assert wecom.texts == ["see\n[five.txt, 0 KiB: not sent]"]


async def test_a_failed_upload_sent_nothing(wecom: WecomStandin, make: Make) -> None:
    wecom.fail("media/upload", 502)
    picture = Attachment("a.png", "image/png", b"\x89PNG" + b"p" * 50)
    with pytest.raises(PlatformAway) as away:
        await make().send_message(said("see", attachments=(picture,)))
    assert not away.value.maybe_sent
    assert away.value.parts_done == 1


async def test_a_card_whose_answer_was_lost_is_not_shown_twice(wecom: WecomStandin, make: Make) -> None:
    message = said("?", buttons=BUTTONS)
    await make().send_message(message)
    with pytest.raises(DeliveryRefused):
        await make().send_message(message)
    receipt = await make().send_message(replace(message, repeat_possible=True))
    assert wecom.texts == ["?"]
    assert "arrived before" in receipt.note
    assert all(receipt.message_ids)


def test_the_pace_keeps_within_what_wecom_drops_in_silence() -> None:
    app, robot = bridges()["wecom"].capabilities.pace, bridges()["wecom_robot"].capabilities.pace
    assert 60 / app.interval <= 30
    assert 3600 / app.interval <= 1000
    assert 60 / PART_PAUSE <= 30
    assert 60 / robot.interval <= 20
    assert 60 / PAUSE <= 20


async def test_the_standin_drops_what_comes_too_fast(wecom: WecomStandin, make: Make) -> None:
    bridge = make()
    for _ in range(31):
        await bridge.send_message(said())
    assert (len(wecom.texts), wecom.dropped) == (30, 1)


# --- cards are changed --------------------------------------------------------------------------------


async def test_a_card_is_changed_once_and_once_more_for_each_press(wecom: WecomStandin, make: Make) -> None:
    bridge = make()
    first = await bridge.send_message(said("open valve 3?", buttons=BUTTONS))
    second = await bridge.send_message(said("still open?", buttons=BUTTONS, replaces=first.message_ids))
    assert wecom.texts == ["still open?"]
    with pytest.raises(DeliveryRefused):
        await bridge.send_message(said("too much", replaces=first.message_ids))
    with pytest.raises(DeliveryRefused):
        await bridge.send_message(said("too much", replaces=second.message_ids))
    await press(bridge, wecom, "w0rd-1")
    await bridge.send_message(said("opened by Ann", replaces=second.message_ids))
    assert wecom.texts == ["opened by Ann"]
    assert (wecom.sent[0]["buttons"], wecom.sent[0]["grey"]) == ([], "—")
    assert all(one.json["atall"] == 1 for one in wecom.asked(UPDATE))


async def test_a_restart_forgets_presses_and_has_the_code_of_the_sending(
    wecom: WecomStandin, make: Make
) -> None:
    bridge = make()
    receipt = await bridge.send_message(said("open?", buttons=BUTTONS))
    await press(bridge, wecom, "w0rd-1")
    await make().send_message(said("opened", replaces=receipt.message_ids))
    assert wecom.texts == ["opened"]


async def test_a_press_whose_code_is_too_old_leaves_that_of_the_sending(
    wecom: WecomStandin, make: Make
) -> None:
    bridge = make()
    receipt = await bridge.send_message(said("open?", buttons=BUTTONS))
    await press(bridge, wecom, "w0rd-1")
    wecom.fail(UPDATE, 200, {"errcode": 42041, "errmsg": "invalid response_code"})
    await bridge.send_message(said("opened", replaces=receipt.message_ids))
    assert wecom.texts == ["opened"]


async def test_a_text_is_not_changed_nor_a_card_that_would_not_hold_it(
    wecom: WecomStandin, make: Make
) -> None:
    bridge = make()
    text = await bridge.send_message(said("3 alarms"))
    card = await bridge.send_message(said("open?", buttons=BUTTONS))
    picture = Attachment("a.png", "image/png", b"\x89PNG" + b"p" * 50)
    for refused in (
        said("4 alarms", replaces=text.message_ids),
        said("x" * 37, replaces=card.message_ids),
        said("see", attachments=(picture,), replaces=card.message_ids),
    ):
        with pytest.raises(DeliveryRefused):
            await bridge.send_message(refused)
    assert wecom.texts == ["3 alarms", "open?"]
    assert not wecom.asked(UPDATE)


def test_presses_of_long_ago_are_forgotten() -> None:
    presses = Presses()
    for number in range(MOST_PRESSES + 1):
        presses.note(f"t{number}", "code")
    assert (presses.take("t0"), presses.take("t1"), presses.take("t1")) == ("", "code", "")


# --- the token ----------------------------------------------------------------------------------------


async def test_one_token_serves_everybody_until_it_is_about_to_end(wecom: WecomStandin, make: Make) -> None:
    clock = ManualClock()
    bridge = make(clock)
    wecom.fail(GETTOKEN, -1, pause=0.1)
    await asyncio.gather(*(bridge.send_message(said(conversation=str(who))) for who in range(5)))
    assert len(wecom.asked(GETTOKEN)) == 1
    clock.advance(timedelta(seconds=6899))
    await bridge.send_message(said())
    assert len(wecom.asked(GETTOKEN)) == 1
    clock.advance(timedelta(seconds=2))
    await bridge.send_message(said())
    assert len(wecom.asked(GETTOKEN)) == 2


async def test_a_token_that_ends_before_its_time_is_fetched_anew_once(
    wecom: WecomStandin, make: Make
) -> None:
    bridge = make()
    await bridge.send_message(said("one"))
    wecom.end_tokens()
    await bridge.send_message(said("two"))
    assert wecom.texts == ["one", "two"]
    assert len(wecom.asked(GETTOKEN)) == 2
    wecom.fail(SEND, 200, {"errcode": 40014, "errmsg": "invalid access_token"}, times=2)
    with pytest.raises(NotReady, match="access token"):
        await bridge.send_message(said("three"))
    assert len(wecom.asked(SEND)) == 5


async def test_a_secret_that_is_taken_back_while_the_box_runs_waits_for_a_person(
    wecom: WecomStandin, make: Make
) -> None:
    bridge = make()
    await bridge.send_message(said())
    wecom.secret = "another"
    wecom.end_tokens()
    with pytest.raises(NotReady, match="secret"):
        await bridge.send_message(said())
    probe = await bridge.probe()
    assert (probe.state, "secret" in probe.message) == (ProbeState.WAITING, True)


async def test_no_message_is_to_blame_for_an_app_that_gets_no_token(wecom: WecomStandin, make: Make) -> None:
    wecom.fail(GETTOKEN, 200, {"errcode": 48005, "errmsg": "api closed"})
    with pytest.raises(NotReady, match="api closed"):
        await make().send_message(said())


async def test_who_cannot_give_a_token_was_given_no_message(wecom: WecomStandin, make: Make) -> None:
    for status in (500, 0, 404):
        wecom.fail(GETTOKEN, status)
        with pytest.raises(PlatformAway) as away:
            await make().send_message(said())
        assert not away.value.maybe_sent


async def test_the_token_is_in_no_log_though_it_is_in_every_address(
    wecom: WecomStandin, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in ("httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=logger)
    await make().send_message(said())
    assert wecom.asked(SEND)[0].query["access_token"].startswith(TOKENS)
    assert "access_token=" in caplog.text, "httpx did log its addresses"
    assert TOKENS not in caplog.text


# --- what WeCom refuses -------------------------------------------------------------------------------


async def test_an_address_that_is_not_trusted_is_named_for_a_person(wecom: WecomStandin, make: Make) -> None:
    wecom.trusted = False
    with pytest.raises(NotReady) as waits:
        await make().send_message(said())
    assert "trusted IP" in str(waits.value)
    assert "203.0.113.7" in str(waits.value)
    probe = await make().probe()
    assert probe.state is ProbeState.WAITING
    assert "203.0.113.7" in probe.message


async def test_an_app_that_is_switched_off_is_seen(wecom: WecomStandin, make: Make) -> None:
    assert (await make().probe()).identity == "Mill"
    wecom.closed = 1
    assert (await make().probe()).state is ProbeState.WAITING


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-1, PlatformAway), (45009, DeliveryDeferred), (45033, DeliveryDeferred), (40001, NotReady),
        (40013, NotReady), (40056, NotReady), (48002, NotReady), (50003, NotReady), (60020, NotReady),
        (301002, NotReady), (93000, NotReady), (42001, NotReady), (60011, DeliveryRefused),
        (81013, DeliveryRefused), (44004, DeliveryRefused), (123456, DeliveryRefused), (True, PlatformAway),
        ("0", PlatformAway), (None, PlatformAway),
    ],
)  # fmt: skip
def test_every_code_means_one_thing(code: object, error: type[DeliveryError]) -> None:
    found = refusal(Answer(200, {}, {"errcode": code, "errmsg": "x"}, ""), "x")  # type: ignore[dict-item]
    assert isinstance(found, error)
    assert found.permanent is (error is DeliveryRefused)


async def test_words_of_wecom_are_shown_without_its_hints(wecom: WecomStandin, make: Make) -> None:
    wecom.fail(
        SEND, 200, {"errcode": 45002, "errmsg": "content size out of limit, hint: [1], from ip: 1.2.3.4"}
    )
    with pytest.raises(DeliveryRefused) as refused:
        await make().send_message(said())
    assert refused.value.message == "WeCom says: content size out of limit (45002)"


async def test_an_app_without_a_webhook_only_sends(wecom: WecomStandin, make: Make) -> None:
    assert make().capabilities.receives
    assert not make(webhook=None, token=None, encoding_aes_key=None).capabilities.receives


def test_a_key_that_cannot_be_one_is_told_when_the_bridge_is_built(wecom: WecomStandin) -> None:
    given = context(
        "wecom", pool=idle_pool(), config=app_config(wecom.root), secrets={**SECRETS, "WECOM_KEY": "short"}
    )
    with pytest.raises(NotReady, match="encoding_aes_key"):
        WecomBridge(given)


# --- the whole way in ----------------------------------------------------------------------------------


def test_a_call_is_in_the_inbox_before_it_is_answered_and_only_once(clean: None, client: Client) -> None:
    given = {
        "auth": SECRET,
        "token": TOKEN,
        "encoding_aes_key": AES_KEY,
        "webhook": "https://box.example/api/wecom",
    }
    entry = {"name": "wecom", **app_config("http://127.0.0.1:1"), **given}
    services.save_platform(entry, CONSOLE, SystemClock().now())
    caller = WecomCaller()
    question = client.get("/api/wecom", caller.question(b"4242424242+/="))
    assert (question.status_code, question.content) == (200, b"4242424242+/=")
    for made in (caller, WecomCaller(token="another")):
        query, body = made.call(made.message("status"))
        for _ in range(2):
            answer = client.post(f"/api/wecom?{urlencode(query)}", body, "text/xml")
            assert answer.status_code == (200 if made is caller else 403)
            assert answer.content == b""
    assert client.post("/api/wecom", b"<xml/>", "text/xml").status_code == 403
    [row] = Inbound.objects.all()
    assert (row.event_id, row.payload["Content"]) == ("1234567890123456", "status")
