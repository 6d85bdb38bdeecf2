"""Frames are read strictly; the schema in the documentation is the code's, and what the page shows fits it."""

import json
from typing import Any

import pytest

from tests.unit.docs.pages import ROOT, blocks, first_column
from webadmin.gateway import flow, protocol, schema
from webadmin.gateway.credentials import token_of
from webadmin.gateway.errors import Close, Over
from webadmin.gateway.reading import read

PAGE = ROOT / "docs" / "reference" / "gateway.md"


def test_the_schema_in_the_documentation_is_the_one_of_the_code() -> None:
    assert schema.FILE.read_text() == schema.rendered(), "make docs writes it"


def kinds(side: str) -> set[str]:
    return set(schema.schema()["$defs"][side]["discriminator"]["mapping"])


def test_every_frame_has_its_row_and_every_example_of_the_page_is_a_frame() -> None:
    assert set(first_column(PAGE, "What a client sends")) == kinds("FromClient")
    assert set(first_column(PAGE, "What the box sends")) == kinds("FromBox")
    assert set(first_column(PAGE, "How it ends")) == {str(one.value) for one in Close} | {"1009"}
    shown = [json.loads(line) for block in blocks(PAGE, "json") for line in block.splitlines()]
    for frame in shown:
        reader = protocol.FROM_CLIENT if is_of_client(frame) else protocol.FROM_BOX
        reader.validate_python(frame)
    assert {frame["type"] for frame in shown} == kinds("FromClient") | kinds("FromBox")


def is_of_client(frame: dict[str, Any]) -> bool:
    return frame["type"] in kinds("FromClient") and "time" not in frame


def test_the_page_says_the_limits_as_they_are() -> None:
    text = PAGE.read_text()
    for said in (
        f"{flow.LARGEST_FRAME // 1024} KiB",
        f"{flow.BURST} at once, then {flow.RATE:g} a second",
        f"at most {flow.MOST_SOCKETS} connections",
        f"{flow.WINDOW // 1024} KiB",
        f"within {flow.PATIENCE:g} seconds",
        f"within {flow.HELLO_WITHIN:g} seconds",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("frame", "where"),
    [
        ({"type": "run", "task": "greet"}, "id"),
        ({"type": "run", "id": "", "task": "greet"}, "id"),
        ({"type": "run", "id": "1", "task": "greet", "as": "root"}, "as"),
        ({"type": "cancel", "id": "1", "run": "not-a-run"}, "run"),
        ({"type": "stop", "id": "1", "level": "none"}, "level"),
        ({"type": "subscribe", "id": "1", "topics": "run.*"}, "topics"),
        ({"type": "release", "id": "1"}, "'subscribe'"),
        ({"id": "1"}, "type"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_its_id(frame: dict[str, Any], where: str) -> None:
    said = read(json.dumps(frame), flow.Rate(), 0.0)
    assert isinstance(said, protocol.Error)
    assert (said.code, said.id, said.fatal) == ("gateway.invalid", frame.get("id"), False)
    assert where in said.message


@pytest.mark.parametrize(
    ("text", "close"),
    [
        (None, Close.TOO_LARGE),
        ("x" * (flow.LARGEST_FRAME + 1), Close.TOO_LARGE),
        ("ü" * (flow.LARGEST_FRAME // 2 + 1), Close.TOO_LARGE),
        ("[" * 20_000, Close.UNREADABLE),
        ("hello", Close.UNREADABLE),
        ("[1]", Close.UNREADABLE),
    ],
)
def test_what_is_no_frame_ends_the_connection(text: str | None, close: Close) -> None:
    with pytest.raises(Over) as over:
        read(text, flow.Rate(), 0.0)
    assert over.value.close is close


def test_a_lone_surrogate_is_read() -> None:
    said = read('{"type": "say", "id": "\\ud800", "text": "\\ud800"}', flow.Rate(), 0.0)
    assert isinstance(said, protocol.Error | protocol.Say)


@pytest.mark.parametrize(
    ("header", "offered", "token"),
    [
        ("Bearer mw_a", (), "mw_a"),
        ("bearer  mw_a ", ("millwright.v1",), "mw_a"),
        ("", ("millwright.v1", "token.mw_a"), "mw_a"),
        ("Bearer mw_a", ("token.mw_a",), "mw_a"),
        ("Bearer mw_a", ("token.mw_b",), None),
        ("Basic mw_a", (), None),
        ("", ("millwright.v1",), None),
    ],
)
def test_where_a_token_may_stand(header: str, offered: tuple[str, ...], token: str | None) -> None:
    headers = [(b"authorization", header.encode())] if header else []
    assert token_of({"headers": headers, "subprotocols": offered}) == token
