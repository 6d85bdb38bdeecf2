import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from appliance.lib.jsontypes import JsonValue
from appliance.lib.masking import MASK, Mask, redact

SECRET = 's3cr&t/"+ö=='


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        quote(SECRET),
        html.escape(SECRET),
        html.escape(SECRET, quote=False),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_no_form_of_a_secret_stays_in_a_text(form: str) -> None:
    assert redact(f"error: <{form}> refused", [SECRET]) == f"error: <{MASK}> refused"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "@x"])
def test_a_secret_in_base64_together_with_something_else_does_not_stay(
    encode: Callable[[bytes], bytes], before: str, after: str
) -> None:
    secret = "s3cr&t~?~?~?~ÿÿ-and-more"
    mask = Mask()
    mask.know([secret])
    text = encode(f"{before}{secret}{after}".encode()).decode()
    said = mask.text(text)
    assert MASK in said
    assert len(said.replace(MASK, "")) <= len(text) - len(secret.encode()) * 8 // 6 + 2


def test_each_line_of_a_key_is_taken_out_and_its_frame_is_not() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    mask = Mask()
    mask.know([f"-----BEGIN PRIVATE KEY-----\n{line}\nshort\n-----END PRIVATE KEY-----\n"])
    said = f"read -----BEGIN PRIVATE KEY-----, then {line}, then short"
    assert mask.text(said) == said.replace(line, MASK)


def test_a_secret_inside_a_longer_one_does_not_leave_its_rest() -> None:
    assert redact("token abcdefgh", ["abcd", "abcdefgh"]) == f"token {MASK}"


def test_other_text_stays() -> None:
    assert redact("nothing here", [SECRET, "", "a"]) == "nothing here"


def test_a_mask_takes_every_known_secret_out_of_whatever_it_is_given() -> None:
    mask = Mask()
    assert mask.value({"a": ["pass word"]}) == {"a": ["pass word"]}
    mask.know(["pass word"])
    mask.learn("another one")
    given: JsonValue = {"pass word": ["x pass+word y", 7, None, {"b": "another one"}]}
    assert mask.value(given) == {MASK: [f"x {MASK} y", 7, None, {"b": MASK}]}
    mask.know([])
    assert mask.text("pass word, another one") == f"pass word, {MASK}"


def test_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    mask = Mask()
    assert mask.unfinished(b"whatever") == 0
    mask.know(["sesame-42"])
    for size in range(1, 9):
        assert mask.unfinished(b"the key is " + b"sesame-42"[:size]) == size
    assert mask.unfinished(b"the key is sesame-42") == 0
    assert mask.unfinished(b"") == 0


def test_what_may_be_the_end_of_a_secret_is_known_too() -> None:
    mask = Mask()
    assert mask.left_over(b"whatever") == 0
    mask.know(["sesame-42"])
    for size in range(1, 9):
        assert mask.left_over(b"sesame-42"[-size:] + b" is the key") == size
    assert mask.left_over(b"sesame-42 is the key") == 0
    assert mask.left_over(b"") == 0


def test_a_whole_secret_beside_it_is_not_torn() -> None:
    """The last letter of one may begin another: what went on without it would not be masked any more."""
    mask = Mask()
    mask.know(["quiet-lathe", "eagle-4711"])
    assert mask.unfinished(b"it is quiet-lathe") == len("quiet-lathe")
    assert mask.left_over(b"eagle-4711 it is") == len("eagle-4711")
    assert mask.left_over(b"a quiet-lathe") == 0


def test_a_text_that_was_cut_loses_the_half_and_nothing_else() -> None:
    mask = Mask()
    assert mask.cut_off("all of it\ufffd") == "all of it\ufffd"
    mask.know(["schlüssel-4711"])
    assert mask.cut_off("key: schlüssel-47") == "key: "
    assert mask.cut_off("key: schl\ufffd") == "key: "
    assert mask.cut_off("a good day") == "a good day"
