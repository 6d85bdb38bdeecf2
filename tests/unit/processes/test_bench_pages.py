"""The measurement of pages knows every address of the box."""

import pytest

from appliance.processes.bench.addresses import Address, addresses
from appliance.processes.bench.pages import MORE, NOT_PAGES


def test_places_are_filled_by_their_name_or_their_kind() -> None:
    one = Address("tasks/<str:name>/versions/<int:number>/", "task-version")
    assert one.places == ["name", "number"]
    assert one.filled({"name": "greet", "int": "3"}) == "/tasks/greet/versions/3/"
    with pytest.raises(KeyError):
        one.filled({"name": "greet"})


def test_what_is_left_out_or_asked_in_more_ways_is_there() -> None:
    names = {one.name for one in addresses()}
    assert {"overview", "outbox", "docs-page", "api-1:list_runs", "admin:runs_run_changelist"} <= names
    assert set(NOT_PAGES) | set(MORE) <= names
