"""What every bridge promises whose platform is elsewhere, in each way in which it can be away, slow, or not it."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.bridges.messages import Attachment, Button
from appliance.bridges.ports import ProbeState, WebhookRefused, WebhookRequest
from appliance.bridges.registry import bridges
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, NotReady, PlatformAway
from tests.chat_desk import WEBHOOK_SECRET, chat_message
from tests.standins.socks import SocksProxy

from .family import Call, Remote

PICTURE = Attachment("chart.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
LOG = Attachment("log.txt", "text/plain; charset=utf-8", "错误 ERROR\n".encode() * 10_000)


async def send(remote: Remote, text: str = "hi", **more: Any) -> Any:
    return await remote.bridge.send_message(chat_message(text, conversation=remote.conversation, **more))


async def test_a_platform_that_asks_for_patience_gets_it(remote: Remote) -> None:
    remote.ask_for_patience(17)
    with pytest.raises(DeliveryDeferred) as deferred:
        await send(remote)
    assert deferred.value.retry_after == 17 or not remote.patience_exact
    assert deferred.value.retry_after > 0
    await send(remote)
    assert await remote.seen() == ["hi"]


@pytest.mark.parametrize("status", [500, 502, 0])
async def test_no_usable_answer_may_mean_that_it_was_sent(remote: Remote, status: int) -> None:
    remote.break_down(status)
    with pytest.raises(PlatformAway) as away:
        await send(remote)
    assert away.value.maybe_sent
    await send(remote, repeat_possible=True)


async def test_who_cannot_be_reached_was_sent_nothing(remote: Remote) -> None:
    bridge = remote.build(root="http://127.0.0.1:1")
    with pytest.raises(PlatformAway) as away:
        await bridge.send_message(chat_message("hi", conversation=remote.conversation))
    assert not away.value.maybe_sent
    assert (await bridge.probe()).state is ProbeState.AWAY
    await bridge.stop()


async def test_a_revoked_token_waits_for_a_person(remote: Remote) -> None:
    await send(remote)
    remote.revoke()
    fresh = remote.build()
    with pytest.raises(NotReady):
        await fresh.send_message(chat_message("hi", conversation=remote.conversation))
    assert (await fresh.probe()).state is ProbeState.WAITING
    await fresh.stop()


async def test_parts_that_arrived_are_not_sent_again(remote: Remote) -> None:
    limits = remote.bridge.capabilities
    text = "\n".join(f"line {number} " + "x" * 60 for number in range(limits.text_limit // 40))
    message = chat_message(text, conversation=remote.conversation)
    whole = await remote.bridge.send_message(message)
    before = list(await remote.seen())
    assert len(before) > 1
    again = chat_message(text, conversation=remote.conversation, id=message.id, parts_done=len(before) - 1)
    receipt = await remote.bridge.send_message(again)
    assert list(await remote.seen()) == [*before, before[-1]]
    assert len(whole.message_ids) == len(before)
    assert len(receipt.message_ids) == 1


async def test_a_title_stands_above_the_text(remote: Remote) -> None:
    await send(remote, "a_b*", title="Pump <3>!")
    assert await remote.seen() == ["Pump <3>!\na_b*"]


async def test_buttons_arrive_and_come_back(remote: Remote) -> None:
    if not remote.bridge.capabilities.buttons:
        pytest.skip("the platform has no buttons")
    buttons = (Button("Approve", "w0rd-1"), Button("Deny", "w0rd-2"))
    await send(remote, buttons=buttons)
    assert remote.buttons() == [("Approve", "w0rd-1"), ("Deny", "w0rd-2")]
    [message] = await remote.bridge.handle_event(remote.pressed("w0rd-2"))
    assert (message.text, message.pressed, message.user_id) == ("w0rd-2", True, "7")
    assert message.conversation == remote.conversation


async def test_what_is_written_is_not_pressed(remote: Remote) -> None:
    if remote.bridge.capabilities.receives:
        [message] = await remote.bridge.handle_event(remote.said("w0rd-2"))
        assert not message.pressed


async def test_files_arrive_as_they_are(remote: Remote) -> None:
    if not remote.bridge.capabilities.attachment_limit:
        pytest.skip("the platform takes no files")
    receipt = await send(remote, "see", attachments=(PICTURE, LOG))
    assert remote.files() == [("chart.png", PICTURE.content), ("log.txt", LOG.content)]
    assert len(receipt.message_ids) == 3
    assert (await remote.seen())[0] == "see"


async def test_a_message_takes_anothers_place(remote: Remote) -> None:
    if not remote.bridge.capabilities.edits:
        pytest.skip("the platform cannot edit")
    receipt = await send(remote, "3 alarms", **remote.editable)
    await send(remote, "4 alarms", replaces=receipt.message_ids)
    assert await remote.seen() == ["4 alarms"]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_it_goes_through_its_own_socks_proxy(remote: Remote, scheme: str) -> None:
    with SocksProxy("me", "hush-hush") as proxy:
        bridge = remote.build(proxy=proxy.url(scheme))
        await bridge.send_message(chat_message("hi", conversation=remote.conversation))
        assert (await bridge.probe()).state is ProbeState.OK
        await bridge.stop()
        assert proxy.asked
    assert await remote.seen() == ["hi"]


async def test_no_secret_is_in_a_log_or_an_error(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    for logger in ("", "httpx", "httpcore", "websockets"):
        caplog.set_level(logging.DEBUG if logger != "websockets" else logging.INFO, logger=logger)
    told = []

    async def attempt(bridge: Any) -> None:
        try:
            await bridge.send_message(chat_message("hi", conversation=remote.conversation))
        except DeliveryError as error:
            logging.getLogger("test").exception("it failed")
            told.append(str(error) + repr(error))
        told.append(repr(await bridge.probe()))

    ways: tuple[dict[str, Any], ...] = (
        {},
        {"root": "http://127.0.0.1:1"},
        {"root": "http://no-such-host.invalid"},
        {"proxy": "socks5://me:hush-hush@127.0.0.1:1"},
    )
    for config in ways:
        bridge = remote.build(**config)
        await attempt(bridge)
        await bridge.stop()
    for status in (0, 400, 401, 403, 429, 500):
        remote.break_down(status)
        await attempt(remote.bridge)
    remote.revoke()
    bridge = remote.build()
    await attempt(bridge)
    await bridge.stop()
    everything = caplog.text + "".join(told)
    assert "it failed" in everything
    for secret in (*remote.secrets, "hush-hush"):
        assert secret not in everything


# --- webhooks ---------------------------------------------------------------------------------------


def asked(remote: Remote, call: Call, now: float | None = None) -> WebhookRequest:
    made = remote.bridge._context  # type: ignore[attr-defined]
    return WebhookRequest(
        method=call.method,
        headers={name.lower(): value for name, value in call.headers.items()},
        query=call.query,
        body=call.body,
        now=datetime.fromtimestamp(now if now is not None else time.time(), UTC),
        secret=WEBHOOK_SECRET,
        config=made.config,
        secrets=made.secrets,
    )


async def test_a_webhook_is_understood_and_a_repeat_has_the_same_name(remote: Remote) -> None:
    call, factory = remote.call("status"), bridges()[remote.kind]
    if call is None or factory.webhook is None:
        pytest.skip("the platform does not call")
    [event] = factory.webhook(asked(remote, call)).events
    [message] = await remote.bridge.handle_event(event.payload)
    assert (message.text, message.user_id) == ("status", "7")
    [again] = factory.webhook(asked(remote, call)).events
    assert again.event_id == event.event_id


def test_who_is_not_the_platform_is_refused(remote: Remote) -> None:
    call, factory = remote.call("status", secret="another-secret-0123456789012345678"), bridges()[remote.kind]
    good = remote.call("status")
    if call is None or good is None or factory.webhook is None:
        pytest.skip("the platform does not call")
    tampered = Call(good.headers, good.body.replace(b"a", b"b"), good.query)
    bare = Call({}, good.body, {})
    for wrong in (call, bare, *([tampered] if remote.old_is_refused else [])):
        with pytest.raises(WebhookRefused) as refused:
            factory.webhook(asked(remote, wrong))
        assert refused.value.status in (400, 401, 403)


@pytest.mark.parametrize("seconds", [-3700, 3700])
def test_an_old_call_is_refused(remote: Remote, seconds: int) -> None:
    call, factory = remote.call("status"), bridges()[remote.kind]
    if call is None or factory.webhook is None or not remote.old_is_refused:
        pytest.skip("the platform does not say when")
    with pytest.raises(WebhookRefused):
        factory.webhook(asked(remote, call, time.time() + seconds))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}'])
def test_nonsense_is_refused_and_breaks_nothing(remote: Remote, body: bytes) -> None:
    factory, good = bridges()[remote.kind], remote.call("status")
    if factory.webhook is None or good is None:
        pytest.skip("the platform does not call")
    with pytest.raises(WebhookRefused):
        factory.webhook(asked(remote, Call(good.headers, body, good.query)))
