"""What every bridge promises, whatever its platform."""

import asyncio

import pytest

from appliance.bridges.ports import ProbeState
from appliance.bridges.registry import bridges
from appliance.bridges.text import measure
from appliance.outbox.errors import DeliveryRefused
from tests.chat_desk import chat_message

from .family import Member

AWKWARD = [
    "plain",
    "发现错误日志:\nERROR disk full",
    "_under_ *star* [link](http://x) `code` ~s~ ||p|| > # + - = | { } . ! \\ back\\slash",
    "a_b*c[d", "\\", "```", "emoji 👩🏽\u200d🔧 and 𝒳",
    "<b>html</b> &amp; {{ braces }}",
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
async def test_a_text_arrives_as_it_was_written(member: Member, text: str) -> None:
    receipt = await member.bridge.send_message(chat_message(text, conversation=member.conversation))
    assert await member.seen() == [text]
    assert receipt.note == "", "nothing had to be mended on the way"
    assert receipt.message_ids
    assert all(receipt.message_ids)
    assert receipt.conversation == member.conversation


async def test_a_long_text_arrives_whole_in_parts_that_the_platform_takes(member: Member) -> None:
    limits = member.bridge.capabilities
    # As many as five parts of the smallest limit hold.
    words = [f"w{number}😀" for number in range(1, min(2000, limits.text_limit // 2))]
    await member.bridge.send_message(chat_message(" ".join(words), conversation=member.conversation))
    seen = await member.seen()
    assert " ".join(seen).split() == words
    assert all(measure(part, limits.unit) <= limits.text_limit for part in seen)


async def test_a_huge_text_is_shortened_and_says_so(member: Member) -> None:
    await member.bridge.send_message(chat_message("x" * 300_000, conversation=member.conversation))
    seen = await member.seen()
    assert len(seen) <= 5
    assert member.bridge.capabilities.text_limit >= 100_000 or "characters left out" in seen[-1]


async def test_an_empty_text_is_refused_for_good(member: Member) -> None:
    with pytest.raises(DeliveryRefused):
        await member.bridge.send_message(chat_message(" \n", conversation=member.conversation))
    assert await member.seen() == []


async def test_a_keyed_platform_drops_a_repeat(member: Member) -> None:
    message = chat_message("once", conversation=member.conversation)
    first = await member.bridge.send_message(message)
    second = await member.bridge.send_message(message)
    if member.bridge.capabilities.keyed:
        assert await member.seen() == ["once"]
        assert first.message_ids == second.message_ids
    else:
        assert await member.seen() == ["once", "once"]


async def test_what_somebody_wrote_is_understood(member: Member) -> None:
    if not member.bridge.capabilities.receives:
        pytest.skip("nobody can write there")
    [message] = await member.bridge.handle_event(member.said("status"))
    assert (message.text, message.user_id, message.conversation) == ("status", "7", member.conversation)


@pytest.mark.parametrize(
    "event", [{}, {"update_id": "x"}, {"text": 5, "user_id": []}, {"message": {"text": "hi"}, "update_id": 2}]
)
async def test_an_event_of_no_interest_is_nothing(member: Member, event: dict[str, object]) -> None:
    assert await member.bridge.handle_event(event) == []  # type: ignore[arg-type]  # malformed on purpose


async def test_the_probe_is_a_round_trip(member: Member) -> None:
    assert (await member.bridge.probe()).state is ProbeState.OK


async def test_starting_and_stopping_is_quick_and_may_be_repeated(member: Member) -> None:
    async with asyncio.timeout(5):
        await member.bridge.start()
        await member.bridge.start()
        await member.bridge.stop()
        await member.bridge.stop()


def test_every_folder_keeps_the_contract() -> None:
    found = bridges()
    known = {"loopback", "webchat", "gateway", "telegram", "enterprise_im", "webhook", "apprise"}
    assert known | {"slack", "dingtalk", "wecom", "wecom_robot"} <= found.keys()
    for kind, factory in found.items():
        assert factory.kind == kind
        assert factory.title
        assert factory.build is not None or factory.unavailable
