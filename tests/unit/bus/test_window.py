"""Duplicates are dropped only where no message can be lost by it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.bus.ports import Message
from appliance.bus.window import MOST_UNTOLD, Held, Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(mid: int, payload: bytes = b"x", *, dup: bool = False, qos: int = 1) -> Message:
    return Message("a", payload, qos, False, dup, mid, NOW)


class Client:
    """A window and the acknowledgements it leads to."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.now = 1000.0
        self.window = Window(self._settle, lambda: self.now)

    def _settle(self, held: Held) -> None:
        if self.window.settle(held):
            self.acknowledged += self.window.tell()

    def receive(self, given: Message) -> Held | None:
        held, mid = self.window.receive(given)
        if mid:
            self.acknowledged.append(mid)
        return held


def test_a_repeat_on_the_same_connection_is_dropped_until_it_is_acknowledged() -> None:
    client = Client()
    held = client.receive(message(1))
    assert held
    assert client.receive(message(1, dup=True)) is None
    held.ack()
    held.ack()
    assert client.acknowledged == [1]
    assert client.receive(message(1, dup=True)) is not None


def test_a_twin_under_another_packet_id_is_a_message_of_its_own() -> None:
    client = Client()
    assert client.receive(message(1))
    assert client.receive(message(2))
    assert client.receive(message(3, dup=True))


def test_what_is_in_hand_is_recognised_after_a_reconnection_under_a_new_packet_id() -> None:
    client = Client()
    held = client.receive(message(7))
    client.window.lose_connection()
    assert client.receive(message(1, dup=True)) is None
    assert held
    held.ack()
    assert client.acknowledged == [1]


def test_what_was_settled_while_disconnected_is_acknowledged_when_it_comes_again() -> None:
    client = Client()
    held = client.receive(message(7))
    client.window.lose_connection()
    assert held
    held.ack()
    assert client.acknowledged == []
    assert client.receive(message(1, dup=True)) is None
    assert client.acknowledged == [1]
    assert len(client.window) == 0


def test_a_lost_session_repeats_nothing_so_nothing_is_taken_for_a_repeat() -> None:
    client = Client()
    client.receive(message(7))
    client.window.lose_connection()
    client.window.lose_session()
    assert client.receive(message(1, dup=True)) is not None


def repeated_after(client: Client, seconds: float, *, most: int = 1) -> list[Held]:
    """Messages 1 to ``most``, which the broker has shown to repeat after ``seconds``."""
    held = [client.receive(message(mid)) for mid in range(1, most + 1)]
    client.now += seconds
    assert [client.receive(message(mid, dup=True)) for mid in range(1, most + 1)] == [None] * most
    return [one for one in held if one]


def test_what_comes_again_soon_is_acknowledged_when_it_does() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 3.0
    held.ack()
    assert (client.acknowledged, client.window.untold, len(client.window)) == ([], 1, 1)
    client.now += 2.0
    assert client.receive(message(1, dup=True)) is None
    assert (client.acknowledged, client.window.untold, len(client.window)) == ([1], 0, 0)


def test_what_has_come_just_now_is_acknowledged_at_once() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 1.0
    held.ack()
    fresh = client.receive(message(2))
    assert fresh
    fresh.ack()
    assert client.acknowledged == [1, 2]


def test_who_repeats_nothing_is_told_at_once_however_late() -> None:
    client = Client()
    held = client.receive(message(1))
    client.now += 3600.0
    assert held
    held.ack()
    assert client.acknowledged == [1]


def test_nobody_waits_for_ever_for_a_repeat() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 4.0
    held.ack()
    client.now += 5.0
    assert client.window.tell() == []
    client.now += 1.0
    assert client.window.tell() == [1]
    assert client.window.tell(everything=True) == []


def test_at_the_end_nothing_waits() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 4.0
    held.ack()
    assert client.window.tell(everything=True) == [1]
    assert len(client.window) == 0


def test_a_part_of_the_brokers_window_never_waits() -> None:
    client = Client()
    held = repeated_after(client, 5.0, most=MOST_UNTOLD + 2)
    client.now += 4.0
    for one in reversed(held):
        one.ack()
    assert client.window.untold == MOST_UNTOLD


def test_acknowledgements_go_in_the_order_in_which_their_messages_last_came() -> None:
    client = Client()
    held = [client.receive(message(mid)) for mid in (1, 2, 3)]
    client.now += 5.0
    client.receive(message(1, dup=True))
    client.now += 0.1
    client.receive(message(3, dup=True))
    for one in held:
        assert one
        client.window.settle(one)
    assert client.window.tell(everything=True) == [2, 1, 3]


def test_a_packet_id_given_anew_is_not_acknowledged_for_what_had_it_before() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 4.0
    held.ack()
    other = client.receive(message(1, b"y"))
    assert other
    assert client.window.tell(everything=True) == []
    other.ack()
    assert client.acknowledged == [1]


def test_what_waits_for_its_repeat_is_acknowledged_after_a_reconnection() -> None:
    client = Client()
    (held,) = repeated_after(client, 5.0)
    client.now += 4.0
    held.ack()
    client.window.lose_connection()
    assert client.window.tell(everything=True) == []
    assert client.receive(message(77, dup=True)) is None
    assert client.acknowledged == [77]


def test_messages_without_a_guarantee_are_not_held() -> None:
    client = Client()
    held = client.receive(message(0, qos=0))
    assert held
    held.ack()
    assert client.acknowledged == []
    assert len(client.window) == 0


@given(
    st.lists(st.sampled_from([b"x", b"y"]), min_size=1, max_size=8),
    st.data(),
)
def test_no_message_is_lost_over_a_reconnection(payloads: list[bytes], data: st.DataObject) -> None:
    """Some of the messages in flight reached us; all are repeated, in any order, numbered afresh."""
    client = Client()
    handled: list[bytes] = []
    for mid, payload in enumerate(payloads, start=1):
        if data.draw(st.booleans()):  # else it was still on its way
            held = client.receive(message(mid, payload))
            assert held
            handled.append(payload)
            if data.draw(st.booleans()):
                client.window.lose_connection()  # settled too late to tell the broker
                held.ack()
    client.window.lose_connection()
    order = data.draw(st.permutations(payloads))
    for mid, payload in enumerate(order, start=1):
        held = client.receive(message(mid, payload, dup=True))
        if held:
            handled.append(payload)
    assert sorted(handled) == sorted(payloads)
