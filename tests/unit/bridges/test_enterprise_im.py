"""Feishu's wire format, its signature and encryption, and what goes into a message, against known examples."""

import json
from collections.abc import Sequence

import pytest

from appliance.bridges.api import Answer
from appliance.bridges.enterprise_im.bridge import CAPABILITIES
from appliance.bridges.enterprise_im.callbacks import decrypt, signature
from appliance.bridges.enterprise_im.contents import content_of
from appliance.bridges.enterprise_im.frames import (
    DATA,
    Assembly,
    Frame,
    FrameInvalid,
    decode,
    encode,
)
from appliance.bridges.enterprise_im.refusals import refusal
from appliance.bridges.enterprise_im.sending import fitting, receiver_type
from appliance.bridges.messages import Button
from appliance.bridges.presenting import Part
from appliance.lib.jsontypes import JsonValue
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import chat_message
from tests.standins.enterprise_im_shapes import read_message, shown_of

# Made with Google's protobuf 5.29.5 from the fields of pbbp2.proto.
EVENT = (
    "088580808080808080800110ac0218f681801020012a0d0a047479706512056576656e742a080a037365711201302a120a0874726163655f"
    "69641206e99499e8afaf32003a00420c7b22636f6465223a3230307d4a0432303236"
)
PING = "0800100018ffffffffffffffffff0120002a0c0a0474797065120470696e6732003a0042004a00"
FRAMES = [
    (
        EVENT,
        Frame(
            2**63 + 5,
            300,
            33554678,
            DATA,
            (("type", "event"), ("seq", "0"), ("trace_id", "错误")),
            payload=b'{"code":200}',
            log_id_new="2026",
        ),
    ),
    (PING, Frame(service=-1, headers=(("type", "ping"),))),
]


@pytest.mark.parametrize(("written", "frame"), FRAMES)
def test_a_frame_is_what_the_platforms_own_library_writes(written: str, frame: Frame) -> None:
    assert encode(frame).hex() == written
    assert decode(bytes.fromhex(written)) == frame
    assert (frame.header("type"), frame.header("none")) in (("event", ""), ("ping", ""))


def test_a_field_of_tomorrow_is_passed_over() -> None:
    known = bytes.fromhex(PING)
    later = b"\x50\x07" + b"\x5a\x02hi" + b"\x61" + bytes(8) + b"\x6d" + bytes(4)  # 10, 11, 12 and 13
    assert decode(known + later) == decode(known)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"\x00\x01",
        b"\x0b",
        b"\x08" + b"\xff" * 11,
        b"\x08" + b"\xff" * 9 + b"\x7f",
        bytes.fromhex(PING)[2:],
        bytes.fromhex(PING)[:-1] + b"\x05",
        bytes.fromhex(PING) + b"\x2a\x02\x0a\x00",
        bytes.fromhex(PING) + b"\x32\x01\xff",
        bytes.fromhex(PING) + b"\x28\x01",
        bytes.fromhex(PING) + b"\x42\xff\xff\xff\xff\x0f",
        b"\x0a\x01a" + bytes.fromhex(PING),
        bytes.fromhex(PING) + b"\x2a\x04\x0a\x00\x12\x00" * 65,
        bytes(4_000_001),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameInvalid):
        decode(data)


def test_no_byte_that_is_turned_round_breaks_the_reader() -> None:
    whole = bytes.fromhex(EVENT)
    for at in range(len(whole)):
        for bit in range(8):
            changed = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
            try:
                again = decode(changed)
            except FrameInvalid:
                continue
            assert decode(encode(again)) == again


def part(name: str, total: int, index: int, payload: bytes) -> Frame:
    headers = (("message_id", name), ("sum", str(total)), ("seq", str(index)))
    return Frame(method=DATA, headers=headers, payload=payload)


def test_parts_are_joined_in_any_order_and_twice_is_once() -> None:
    assembly = Assembly()
    assert assembly.add(part("a", 3, 2, b"3")) is None
    assert assembly.add(part("b", 2, 0, b"x")) is None
    assert assembly.add(part("a", 3, 0, b"1")) is None
    assert assembly.add(part("a", 3, 0, b"1")) is None
    assert assembly.add(part("a", 3, 1, b"2")) == b"123"
    assert assembly.add(part("b", 2, 1, b"y")) == b"xy"
    assert assembly.add(Frame(method=DATA, payload=b"whole")) == b"whole"


def test_parts_that_never_end_take_no_memory() -> None:
    assembly = Assembly(most=2, most_parts=4, largest=10)
    for name in "abc":
        assert assembly.add(part(name, 2, 0, b"1")) is None
    assert assembly.add(part("a", 2, 1, b"2")) is None, "the oldest was given up"
    for wrong in (
        part("", 2, 0, b""),
        part("x", 2, 2, b""),
        part("x", 5, 0, b""),
        part("x", 2, 0, b"x" * 11),
    ):
        with pytest.raises(FrameInvalid):
            assembly.add(wrong)
    with pytest.raises(FrameInvalid):
        assembly.add(Frame(method=DATA, headers=(("sum", "-1"),)))


# --- signature and encryption -------------------------------------------------------------------------


def test_the_documented_example_is_decrypted() -> None:
    assert decrypt("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=", "test key") == b"hello world"


@pytest.mark.parametrize("wrong", ["", "%%%", "P37w", "P37w+VZImNgPEO1RBhJ6Rg==", "A" * 64])
def test_what_cannot_be_decrypted_is_said_so(wrong: str) -> None:
    with pytest.raises(ValueError):
        decrypt(wrong, "test key")


def test_the_signature_is_a_plain_hash_over_everything() -> None:
    # printf '1700000000n0ncekey{"encrypt":"x"}' | sha256sum
    made = signature("1700000000", "n0nce", "key", b'{"encrypt":"x"}')
    assert made == "7755a652e8f6a4e25b38914170c36c95795406c7fede9ffa986f594291cc17c9"


# --- contents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Pump 3 stopped\nat 12:30:45, see http://box/x_y", "text"),
        ("发现错误", "text"),
        ("\u202eevil\u200b", "text"),
        ('<at user_id="all"></at>', "interactive"),
        ("**bold** and [words](http://evil.example)", "interactive"),
        ("[ERROR] disk full", "interactive"),
        ("a < b && c > d, `x` ~y~", "interactive"),
        ("* :OK: :THUMBSUP: a:b:c 1:2:3", "interactive"),
    ],
)
def test_nothing_that_is_written_comes_alive(text: str, kind: str) -> None:
    content = content_of(Part(text))
    assert content.kind == kind
    made = read_message(content.kind, content.body, 0, {})
    assert (made["shown"], made["alive"]) == (text, [])


def test_titles_and_labels_are_plain_too() -> None:
    content = content_of(Part("x", "**T** :OK: <i>i</i>", (Button(":DONE: ok", "w0rd"),)))
    made = read_message(content.kind, content.body, 0, {})
    assert made["shown"] == "**T** :OK: <i>i</i>\nx"
    assert made["buttons"] == [(":DONE: ok", {"millwright": "w0rd"})]
    assert made["alive"] == []
    assert shown_of(json.loads(content.body)["header"]["title"]["content"]) == "**T** :OK: <i>i</i>"


@pytest.mark.parametrize("line", ['"\\' * 40, "错误 ERROR", "\x01<" * 40, "x" * 300])
def test_ten_thousand_lines_fit_and_their_parts_are_always_the_same(line: str) -> None:
    buttons = tuple(Button("键" * 100, "w" * 22) for _ in range(20))
    message = chat_message("\n".join([line] * 10_000), title='"' * 200, buttons=buttons)
    parts = fitting(message, CAPABILITIES)
    assert 1 < len(parts) <= 5
    for one in parts:
        content = content_of(one)
        told: JsonValue = {"receive_id": "oc_" + "5" * 32, "msg_type": content.kind, "content": content.body}
        size = len(json.dumps({**told, "uuid": "0" * 34}, ensure_ascii=False).encode())  # type: ignore[dict-item]
        assert size <= (150_000 if content.kind == "text" else 30_000)
    assert fitting(message, CAPABILITIES) == parts


@pytest.mark.parametrize(
    ("conversation", "kind"),
    [("oc_1", "chat_id"), ("ou_1", "open_id"), ("on_1", "union_id"), ("a@b.cn", "email"), ("e33", "user_id")],
)
def test_an_address_says_what_it_is(conversation: str, kind: str) -> None:
    assert receiver_type(conversation) == kind


# --- refusals -----------------------------------------------------------------------------------------


def refused(status: int, body: JsonValue, **headers: str) -> DeliveryError:
    return refusal("Feishu", Answer(status, headers, body, ""), "words")


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ((99991400, 230020, 11232, 11247, 230049, 1000040350), DeliveryDeferred),
        ((99991663, 99991672, 99991662, 230006, 230027, 10014, 99991401), NotReady),
        ((10500, 2200, 1000040343, 1, 232096), PlatformAway),
        ((230001, 230002, 230013, 230025, 230028, 230034, 230099, 232009, 424242), DeliveryRefused),
    ],
)
def test_every_code_has_its_meaning(codes: Sequence[int], kind: type[DeliveryError]) -> None:
    for code in codes:
        assert type(refused(400, {"code": code})).__mro__.index(kind) <= 1
    never = refused(400, {"code": 230002})
    assert str(never) == "Feishu says: words (230002)"


def test_patience_is_as_long_as_the_platform_says() -> None:
    headers = {"x-ogw-ratelimit-reset": "52"}
    asked = refused(400, {"code": 99991400}, **headers)
    assert isinstance(asked, DeliveryDeferred)
    assert asked.retry_after == 52
    for odd in ("", "soon", "-3", "0"):
        again = refused(429, None, **{"x-ogw-ratelimit-reset": odd})
        assert isinstance(again, DeliveryDeferred)
        assert again.retry_after == 5


@pytest.mark.parametrize("body", [None, {}, {"code": "0"}, {"code": True}, []])
def test_an_answer_of_somebody_else_is_the_platform_being_away(body: JsonValue) -> None:
    away = refused(200, body)
    assert isinstance(away, PlatformAway)
    assert away.maybe_sent
