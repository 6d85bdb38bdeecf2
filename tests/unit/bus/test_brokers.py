"""What may be said about a further broker, and how its topics are written in the box."""

from dataclasses import replace

import pytest

from appliance.bus.brokers.domain import BrokerSpec, wire_filter, wire_filters
from appliance.bus.errors import BusError, TopicRefused
from appliance.bus.places import check_broker_name, place_of, split_place
from appliance.bus.topics import check_topic

PLANT = BrokerSpec("plant", "mqtts://10.0.0.5", username="box", password="secret:plant")


def test_a_place_on_another_broker_can_never_be_a_topic_of_the_own() -> None:
    assert place_of("", "a/b") == "a/b"
    assert split_place(place_of("plant", "a/b")) == ("plant", "a/b")
    assert split_place("a/b") == ("", "a/b")
    with pytest.raises(TopicRefused):
        check_topic(place_of("plant", "a/b"))


@pytest.mark.parametrize("name", ["", "Plant", "a b", "a#b", "-a", "a" * 25, "box", "own", "ä", "a\n"])
def test_names_that_could_be_taken_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(BusError):
        check_broker_name(name)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://x"},
        {"url": "mqtt://u:p@host"},
        {"url": "mqtt://u@host"},
        {"url": "mqtt://host", "ca": "/a.pem"},
        {"password": "in-clear"},
        {"username": ""},
        {"username": "a\nb"},
        {"client_id": "x" * 101},
        {"filters": ("a#",)},
        {"filters": tuple(f"a/{n}" for n in range(31))},
        {"prefix": "a/+"},
    ],
    ids=str,
)
def test_what_cannot_work_or_would_leak_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BusError):
        replace(PLANT, **change).checked()  # type: ignore[arg-type]  # wrong on purpose


def test_a_row_never_holds_a_password_and_its_address_never_shows_one() -> None:
    address = PLANT.checked().address("geheim-4711")
    assert (address.host, address.port, address.username, address.password) == (
        "10.0.0.5",
        8883,
        "box",
        "geheim-4711",
    )
    assert "geheim" not in repr(address)
    assert not replace(PLANT, verify=False).address(None).verify


@pytest.mark.parametrize(
    ("filter_", "prefix", "wire"),
    [
        ("a/b", "", "a/b"),
        ("hall/7/a", "hall/7", "a"),
        ("hall/+/a/#", "hall/7", "a/#"),
        ("+/+/+", "hall/7", "+"),
        ("hall/#", "hall/7", "#"),
        ("#", "hall/7", "#"),
        ("hall/7", "hall/7", None),
        ("hall/8/a", "hall/7", None),
        ("yard/#", "hall/7", None),
    ],
)
def test_a_filter_of_the_box_becomes_the_brokers_own(filter_: str, prefix: str, wire: str | None) -> None:
    assert wire_filter(filter_, prefix) == wire


def test_topics_go_through_the_prefix_and_back() -> None:
    hall = replace(PLANT, prefix="hall/7/", filters=("x",)).checked()
    assert hall.to_box("a/b") == "hall/7/a/b"
    assert hall.to_wire("hall/7/a/b") == "a/b"
    for outside in ("a/b", "hall/7", "hall/70/a", "my/hall/7/a"):
        with pytest.raises(TopicRefused):
            hall.to_wire(outside)
    assert wire_filters(["hall/7/a", "yard/b"], hall) == {"a", "x"}
