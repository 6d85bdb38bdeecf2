import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.chain import LONGEST_DETAIL, AuditEntry, body_of, columns, link
from appliance.lib.masking import KNOWN, MASK

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.floats(), st.integers(), st.binary())))
def test_anything_can_be_put_on_record(subject: str, detail: dict[str, object]) -> None:
    entry = AuditEntry("k", "p", subject, detail, AT)  # type: ignore[arg-type]  # what callers get wrong
    body = body_of(entry)
    assert body.encode()
    said = json.loads(body)
    assert said["subject"] == columns([entry])[3][0]
    assert "\x00" not in said["subject"]


def test_the_text_does_not_depend_on_the_order_of_keys() -> None:
    one = AuditEntry("k", "p", "s", {"a": 1, "b": 2}, AT)
    other = AuditEntry("k", "p", "s", {"b": 2, "a": 1}, AT)
    assert body_of(one) == body_of(other)


def test_an_oversize_detail_is_kept_as_its_digest() -> None:
    body = body_of(AuditEntry("k", "p", "s", {"output": "x" * LONGEST_DETAIL}, AT))
    assert len(body) < LONGEST_DETAIL / 8
    assert json.loads(body)["detail"]["oversize"] is True


def test_a_link_stands_for_everything_before_it_and_its_place() -> None:
    assert len({link(b"a", 1, "x"), link(b"b", 1, "x"), link(b"a", 2, "x"), link(b"a", 1, "y")}) == 4


def test_a_secret_that_is_known_stands_in_no_record_and_numbers_stay_numbers() -> None:
    KNOWN.learn("4711")
    body = json.loads(
        body_of(AuditEntry("run.started", "user:ana", "x/4711", {"said": ["a 4711"], "n": 47110}))
    )
    assert body["subject"] == f"x/{MASK}"
    assert body["detail"] == {"said": [f"a {MASK}"], "n": 47110}
