"""What an app sends, what its refusals mean, and its token. What all bridges promise is in tests/contract/bridges."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from appliance.bridges.messages import Button
from appliance.bridges.ports import ProbeState
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import chat_message
from tests.standins.dingtalk import DingTalkStandin
from tests.standins.dingtalk_shapes import (
    CLIENT_SECRET,
    GROUP,
    TEMPLATE,
)
from tests.wait import wait_for_async

Make = Callable[..., Any]


# --- an app sends -------------------------------------------------------------------------------------


async def test_people_and_groups_get_their_messages(dingtalk: DingTalkStandin, make: Make) -> None:
    app = make()
    person = await app.send_message(chat_message("hi", conversation="manager1234"))
    await app.send_message(chat_message("all", conversation=GROUP))
    assert [(one["to"], one["seen"]) for one in dingtalk.sent] == [("manager1234", "hi"), (GROUP, "all")]
    assert person.message_ids == (dingtalk.sent[0]["id"],)
    assert app.pace(GROUP).interval > app.pace("manager1234").interval


@pytest.mark.parametrize("to", ["7", GROUP])
async def test_buttons_are_a_card_and_only_with_a_template(
    dingtalk: DingTalkStandin, make: Make, to: str
) -> None:
    bare = make()
    buttons = (Button("Approve", "w1"), Button("x" * 50, "w2"))
    assert bare.capabilities.buttons == 0
    await bare.send_message(chat_message("Run it?", conversation=to, buttons=buttons))
    await make(card_template=TEMPLATE).send_message(
        chat_message("Run it?", title="Pump [OK]", conversation=to, buttons=buttons)
    )
    assert [one["buttons"] for one in dingtalk.sent] == [[], [("Approve", "w1"), ("x" * 19 + "…", "w2")]]
    assert dingtalk.texts == ["Run it?", "Pump [OK]\nRun it?"]


ALIVE_ELSEWHERE = [
    "[微笑] [OK] [赞]",
    "@所有人 @all @Ann 发现错误",
    "\u202eevil\u202c \u200b zero\u2060width",
    'quote "this" \\ and\ttab',
    "[[微笑]] [ERROR] [link](http://x)",
]


@pytest.mark.parametrize("spacing", [None, 0])
async def test_nothing_in_a_text_comes_alive(
    dingtalk: DingTalkStandin, make: Make, spacing: float | None
) -> None:
    bridge, to = make(spacing=spacing), "7" if spacing is None else "group"
    for text in ALIVE_ELSEWHERE:
        await bridge.send_message(chat_message(text, conversation=to))
        assert dingtalk.texts[-1] == text.replace("\u2060", "")
        assert "atUserIds" not in dingtalk.calls[-1].body.decode()


@pytest.mark.parametrize("spacing", [None, 0])
async def test_the_longest_log_fits_whatever_is_in_it(
    dingtalk: DingTalkStandin, make: Make, spacing: float | None
) -> None:
    bridge, to = make(spacing=spacing), "7" if spacing is None else "group"
    for count, line in enumerate(('"\\"', "\x1b[31mred\x07", "日志"), 1):
        text = "\n".join(f"{number} {line}" for number in range(10_000))
        await bridge.send_message(chat_message(text, conversation=to))
        assert len(dingtalk.texts) == 5 * count
        assert "characters left out" in dingtalk.texts[-1]


REFUSALS: list[tuple[int, str, type[DeliveryError]]] = [
    (400, "invalidClientIdOrSecret", NotReady),
    (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied", NotReady),
    (403, "Forbidden.AccessDenied.IpNotInWhiteList", NotReady),
    (400, "invalidParameter.robotCode.notExsit", NotReady),
    (400, "bot.stopped", NotReady),
    (403, "Forbidden.AccessDenied.QpsLimitForApi", DeliveryDeferred),
    (400, "Throttling.User", DeliveryDeferred),
    (429, "", DeliveryDeferred),
    (400, "system.err", PlatformAway),
    (400, "group.disbanded", DeliveryRefused),
    (400, "staffId.notExisted", DeliveryRefused),
    (400, "invalidParameter.msgParam.tooLong", DeliveryRefused),
    (400, "never.heard.of", DeliveryRefused),
]


async def test_each_refusal_of_the_api_means_what_is_to_be_done(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    app = make()
    for status, code, expected in REFUSALS:
        dingtalk.fail("batchSend", status, {"code": code, "message": f"no, {CLIENT_SECRET}"} if code else {})
        with pytest.raises(expected) as caught:
            await app.send_message(chat_message("hi", conversation="7"))
        assert type(caught.value) is expected, code
        assert CLIENT_SECRET not in str(caught.value)
        assert code in str(caught.value) or expected is DeliveryDeferred


async def test_a_good_status_is_no_delivery_yet(dingtalk: DingTalkStandin, make: Make) -> None:
    app = make()
    answers: list[tuple[Any, type[DeliveryError]]] = [
        ({"processQueryKey": "k", "invalidStaffIdList": ["7"]}, DeliveryRefused),
        ({"processQueryKey": "k", "filteredStaffIdList": ["7"]}, DeliveryRefused),
        ({"processQueryKey": "k", "flowControlledStaffIdList": ["7"]}, DeliveryDeferred),
        ({"requestId": "but no key"}, PlatformAway),
        (b"<html>Log in to the hotel</html>", PlatformAway),
    ]
    for answer, expected in answers:
        dingtalk.fail("batchSend", 200, answer)
        with pytest.raises(expected):
            await app.send_message(chat_message("hi", conversation="7"))


async def test_a_card_that_did_not_arrive_is_no_delivery(dingtalk: DingTalkStandin, make: Make) -> None:
    asking = chat_message("?", conversation="8", buttons=(Button("Approve", "w1"),))
    with pytest.raises(DeliveryRefused, match="投放失败"):
        await make(card_template=TEMPLATE).send_message(asking)
    with pytest.raises(NotReady, match="templateNotExist"):
        await make(card_template="mine.schema").send_message(asking)


# --- its token ----------------------------------------------------------------------------------------


async def test_a_token_is_asked_for_once_and_anew_before_its_end_and_when_it_is_refused(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    app = make()
    await asyncio.gather(*(app.send_message(chat_message("hi", conversation="7")) for _ in range(5)))
    assert len(dingtalk.asked("accessToken")) == 1
    dingtalk.tokens.clear()
    await app.send_message(chat_message("again", conversation="7"))
    assert len(dingtalk.asked("accessToken")) == 2
    assert len(dingtalk.texts) == 6
    dingtalk.token_lasts = 301
    brief = make()
    await brief.send_message(chat_message("1", conversation="7"))
    brief._api._until = time.monotonic()
    await brief.send_message(chat_message("2", conversation="7"))
    assert len(dingtalk.asked("accessToken")) == 4
    assert len(dingtalk.asked("batchSend")) == 9, "one was refused, none was sent for nothing"


async def test_a_secret_that_is_revoked_while_it_runs_is_said_and_mended(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    app = make()
    await app.start()
    await wait_for_async(lambda: dingtalk.open_sockets)
    await app.send_message(chat_message("hi", conversation="7"))
    dingtalk.secret = "another"
    dingtalk.tokens.clear()
    with pytest.raises(NotReady, match="invalidClientIdOrSecret"):
        await app.send_message(chat_message("hi", conversation="7"))
    assert (await app.probe()).state is ProbeState.WAITING
    dingtalk.secret = CLIENT_SECRET
    assert (await app.probe()).state is ProbeState.OK


async def test_a_token_that_is_always_refused_is_asked_for_twice_only(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    dingtalk.fail("batchSend", 400, {"code": "InvalidAuthentication", "message": "no"}, times=9)
    with pytest.raises(NotReady):
        await make().send_message(chat_message("hi", conversation="7"))
    assert len(dingtalk.asked("batchSend")) == 2
