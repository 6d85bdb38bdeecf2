"""Whatever a payload holds, its reading can be stored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bus.values import MAX_VALUE_BYTES, Quality, _read_fast, read_payload


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"61.5", 61.5),
        (b'{"value": 61.2, "unit": "C"}', {"value": 61.2, "unit": "C"}),
        (b"true", True),
        (b"ON", "ON"),
        (b"", ""),
        ("61 °C".encode(), "61 °C"),
        (b"NaN", "NaN"),
        (b"1e999", "1e999"),
        (b'"\\ud800"', '"\\ud800"'),
        (b'"\\u0000"', '"\\u0000"'),
        (b"[" * 5000, "[" * 5000),
        (b"9" * 5000, "9" * 5000),
    ],
)
def test_a_payload_is_json_or_else_text(payload: bytes, value: object) -> None:
    content = read_payload(payload)
    assert content.document is not None
    assert json.loads(content.document) == value
    assert content.quality is Quality.GOOD


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"a\x00b"])
def test_binary_is_flagged_and_has_no_value(payload: bytes) -> None:
    assert read_payload(payload).quality is Quality.BINARY
    assert read_payload(payload).document is None


def test_large_payloads_are_not_kept() -> None:
    assert read_payload(b"1" * (MAX_VALUE_BYTES + 1)).quality is Quality.LARGE


@given(st.binary(max_size=200))
def test_no_payload_breaks_the_reading(payload: bytes) -> None:
    content = read_payload(payload)
    if content.document is not None:
        json.loads(content.document)
        content.document.encode()
        assert "\x00" not in content.document


@pytest.mark.parametrize(
    ("payload", "value", "is_json"),
    [
        (b'{"a": [1, 2.5, "x"]}', {"a": [1, 2.5, "x"]}, True),
        (b"123456789012345678901234567890", 123456789012345678901234567890, True),
        (b"1" * 400, int("1" * 400), True),
        (b"1e-400", 0.0, True),
        ('{"°": "é"}'.encode(), {"°": "é"}, True),
        (b"ON", "ON", False),
        (b"NaN", "NaN", False),
    ],
)
def test_the_value_is_read_once_for_all(payload: bytes, value: object, is_json: bool) -> None:
    content = read_payload(payload)
    assert content.document is not None
    assert content.value == json.loads(content.document) == value
    assert content.is_json is is_json


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_both_readers_say_the_same(value: object) -> None:
    payload = json.dumps(value).encode()
    fast = _read_fast(payload)
    assert fast is None or fast.value == json.loads(payload) == json.loads(fast.document or "")
