"""What guard makes of the all-stop for the network of sandboxes."""

import pytest

from appliance.sandbox.egress import Egress


@pytest.mark.parametrize("cut", [True, False])
def test_the_first_word_counts_whatever_an_earlier_guard_has_left(cut: bool) -> None:
    told: list[bool] = []

    def tell(cut: bool) -> str:
        told.append(cut)
        return ""

    egress = Egress(tell)
    for _ in range(3):
        egress.set_cut(cut)
    assert told == [cut]
    egress.set_cut(not cut)
    assert told == [cut, not cut]


def test_what_cannot_be_cut_is_not_said_to_be() -> None:
    egress = Egress(lambda cut: "no rules here")
    egress.set_cut(True)
    assert egress.state() == {"cut": False, "lacking": "no rules here"}


def test_it_is_tried_again_until_it_is_done() -> None:
    said = ["not yet", "", "never asked"]
    egress = Egress(lambda cut: said.pop(0))
    for _ in range(3):
        egress.set_cut(True)
    assert egress.state() == {"cut": True, "lacking": ""}
    assert said == ["never asked"]


def test_what_runs_unwatched_is_not_said_to_be_cut() -> None:
    running = ["step fill of run 1"]
    egress = Egress(lambda cut: "", lambda: running)
    egress.set_cut(True)
    assert egress.state() == {"cut": False, "lacking": "without them run step fill of run 1"}
    running += [f"step x of run {number}" for number in range(6)]
    assert str(egress.state()["lacking"]).endswith("step x of run 3 and 2 more")
    running.clear()
    assert egress.state() == {"cut": True, "lacking": ""}
