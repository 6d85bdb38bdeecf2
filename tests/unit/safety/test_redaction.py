import base64
import json
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
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_no_form_of_a_secret_stays_in_a_text(form: str) -> None:
    assert redact(f"error: <{form}> refused", [SECRET]) == f"error: <{MASK}> refused"


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
