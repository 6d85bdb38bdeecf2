"""A group's robot, and the configuration of both forms."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from appliance.bridges.dingtalk.robot import SPACING, signature
from appliance.bridges.errors import PlatformsInvalid
from appliance.bridges.platforms import parse_entry
from appliance.bridges.ports import ProbeState
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import chat_message
from tests.standins.dingtalk import DingTalkStandin
from tests.standins.dingtalk_shapes import (
    ROBOT_TOKEN,
)

Make = Callable[..., Any]


def test_the_signature_is_the_documented_one() -> None:
    """HMAC-SHA256(key: secret, text: time, line's end, secret) in base64; computed with openssl."""
    assert signature("this is secret", "1577262236757") == "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="


async def test_a_robot_signs_where_it_has_a_secret(dingtalk: DingTalkStandin, make: Make) -> None:
    await make(spacing=0).send_message(chat_message("signed", conversation="group"))
    address = f"https://oapi.dingtalk.com/robot/send?access_token={ROBOT_TOKEN}"
    dingtalk.robot.secret = ""
    whole = make(spacing=0, secret=None, secrets={"TOKEN": address})
    await whole.send_message(chat_message("bare", conversation="group"))
    assert dingtalk.texts == ["signed", "bare"]
    assert "sign" not in dingtalk.calls[-1].query
    dingtalk.robot.secret = "SECother"
    with pytest.raises(NotReady, match="sign not match"):
        await make(spacing=0).send_message(chat_message("hi", conversation="group"))


async def test_a_robot_speaks_in_its_group_only(dingtalk: DingTalkStandin, make: Make) -> None:
    robot = make(spacing=0)
    assert robot.default_conversation() == "group"
    with pytest.raises(DeliveryRefused, match="one group"):
        await robot.send_message(chat_message("hi", conversation="7"))
    assert dingtalk.calls == []


async def test_a_robot_never_sends_as_fast_as_it_would_be_banned(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    assert 60 / SPACING + 4 < 20, "with room for starts of the box"
    robot = make(spacing=0.1)
    long = "\n".join("x" * 100 for _ in range(300))
    await asyncio.gather(
        robot.send_message(chat_message(long, conversation="group")),
        robot.send_message(chat_message("short", conversation="group")),
        robot.probe(),
    )
    times = [call.at for call in dingtalk.asked("/robot/send")]
    assert len(times) >= 6
    assert all(later - earlier > 0.09 for earlier, later in pairwise(times))
    assert (robot.pace(None).interval, robot.pace(None).burst) == (SPACING, 1)


NUMBERS: list[tuple[dict[str, Any], type[DeliveryError], float]] = [
    ({"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}, DeliveryDeferred, 600),
    ({"errcode": 410100, "errmsg": "发送速度太快而限流"}, DeliveryDeferred, 600),
    ({"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}, DeliveryDeferred, 600),
    ({"errcode": 90030, "errmsg": "webhook over limit"}, DeliveryDeferred, 3600),
    ({"errcode": 300005, "errmsg": "token is not exist"}, NotReady, 0),
    ({"errcode": 310000, "errmsg": "keywords not in content"}, NotReady, 0),
    ({"errcode": 310000, "errmsg": "ip 1.2.3.4 not in whitelist"}, NotReady, 0),
    ({"errcode": 400102, "errmsg": "bot is stopped"}, NotReady, 0),
    ({"errcode": 460101, "errmsg": "message too long, exceed 20000 bytes"}, DeliveryRefused, 0),
    ({"errcode": 999999, "errmsg": "never heard of"}, DeliveryRefused, 0),
    ({"errcode": -1, "errmsg": "系统繁忙"}, PlatformAway, 0),
    ({"hello": "a proxy"}, PlatformAway, 0),
]


async def test_each_number_of_a_robot_means_what_is_to_be_done(dingtalk: DingTalkStandin, make: Make) -> None:
    robot = make(spacing=0)
    for told, expected, pause in NUMBERS:
        dingtalk.fail("/robot/send", 200, told)
        with pytest.raises(expected) as caught:
            await robot.send_message(chat_message("hi", conversation="group"))
        assert type(caught.value) is expected, told
        assert getattr(caught.value, "retry_after", 0) == pause


async def test_a_look_at_a_robot_shows_nobody_anything_and_rarely_counts(
    dingtalk: DingTalkStandin, make: Make
) -> None:
    robot = make(spacing=0)
    for _ in range(4):
        assert (await robot.probe()).state is ProbeState.OK
    assert [call.method for call in dingtalk.calls] == ["POST", "GET", "GET", "GET"]
    assert dingtalk.sent == []
    dingtalk.robot.token = "another"
    with pytest.raises(NotReady):
        await robot.send_message(chat_message("hi", conversation="group"))
    assert (await robot.probe()).state is ProbeState.WAITING
    dingtalk.robot.token = ROBOT_TOKEN
    assert (await robot.probe()).state is ProbeState.OK


async def test_a_robot_with_keywords_is_looked_at_all_the_same(dingtalk: DingTalkStandin, make: Make) -> None:
    dingtalk.fail("/robot/send", 200, {"errcode": 310000, "errmsg": "keywords not in content"})
    assert (await make(spacing=0).probe()).state is ProbeState.OK


# --- the configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "expected client_id and client_secret"),
        ({"client_id": "a", "access_token": "B"}, "expected client_id and client_secret"),
        ({"client_id": "a"}, "expected client_secret beside"),
        ({"client_id": "a", "client_secret": "B", "secret": "C"}, "secret belongs to a group's robot"),
        ({"access_token": "B", "card_template": "t"}, "card_template belongs to an app"),
        ({"access_token": "B", "webhook": "https://a.b/c"}, "unknown key"),
        ({"access_token": "B", "api_root": "ftp://a"}, "expected an http or https address"),
    ],
)
def test_a_configuration_that_cannot_be_meant_says_what_was_expected(
    keys: dict[str, str], sentence: str
) -> None:
    with pytest.raises(PlatformsInvalid, match=sentence):
        parse_entry({"name": "dingtalk", **keys})
