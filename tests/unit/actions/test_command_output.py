"""What a step keeps of a command's output shows no half of a secret."""

import pytest

from appliance.actions.command import _text
from appliance.lib.masking import KNOWN
from appliance.sandbox.ports import Captured
from appliance.sandbox.process.capture import HeadTail

SECRET = b"sesame-open-4711"


def kept(text: bytes, limit: int) -> Captured:
    both = HeadTail(limit)
    both.add(text)
    return Captured(bytes(both.head), both.tail, both.total)


@pytest.mark.parametrize("at", range(1, len(SECRET)))
def test_where_the_middle_was_left_out(at: int) -> None:
    KNOWN.learn(SECRET.decode())
    try:
        head = _text(kept(b"." * (50 - at) + SECRET + b"." * 100, 100))
        tail = _text(kept(b"." * 100 + SECRET + b"." * (50 - len(SECRET) + at), 100))
        whole = _text(kept(b"." * 10 + SECRET, 100))
    finally:
        KNOWN.forget()
    assert head.partition("\n")[0] == "." * (50 - at)
    assert tail.rpartition("\n")[2] == "." * (50 - len(SECRET) + at)
    assert whole == "." * 10 + SECRET.decode()
