"""What a run hands down of where it came from, and what becomes of a list that cannot be read."""

from typing import Any

import pytest

from appliance.runs.origins import KEY, handed, handed_on
from appliance.safety.policy.vocabulary import Origin


def test_a_run_without_the_list_was_led_to_by_nothing() -> None:
    assert handed({}) == ()
    assert handed_on("cron", ()) == ("cron",)


def test_each_origin_is_handed_down_once_the_first_of_them_first() -> None:
    assert handed({KEY: ["mqtt", "task"]}) == ("mqtt", "task")
    assert handed_on("task", ("mqtt", "task")) == ("mqtt", "task")
    assert handed_on("event", ("mqtt", "task")) == ("mqtt", "task", "event")


@pytest.mark.parametrize("damaged", [None, "mqtt", {}, [1], ["mqtt", "mail"], ["mqtt", None]])
def test_a_list_that_cannot_be_read_means_every_origin(damaged: Any) -> None:
    assert handed({KEY: damaged}) == tuple(Origin)
