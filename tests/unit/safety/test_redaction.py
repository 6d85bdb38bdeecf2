import base64
import json
from urllib.parse import quote

import pytest

from appliance.lib.masking import MASK, redact

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
