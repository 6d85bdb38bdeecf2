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
