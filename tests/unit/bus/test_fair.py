"""One flooding device delays nobody else by more than a batch, and no topic's messages change places."""

from collections import defaultdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from appliance.bus.fair import FairQueue
from appliance.bus.ports import Message
from appliance.bus.window import Held

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def held(topic: str, number: int) -> Held:
    return Held(Message(topic, str(number).encode(), 1, False, False, number, NOW), lambda one: None)


def said(batch: list[Held]) -> list[tuple[str, int]]:
    return [(one.message.topic, one.mid) for one in batch]


def test_a_quiet_device_gets_its_turn_in_the_next_batch() -> None:
    queue = FairQueue()
    for number in range(5000):
        queue.put(held("flood", number))
    queue.put(held("quiet", 1))
    assert ("quiet", 1) in said(queue.take(10))


def test_with_room_for_all_the_order_of_arrival_stays() -> None:
    queue = FairQueue()
    arrived = [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("c", 5)]
    for topic, number in arrived:
        queue.put(held(topic, number))
    assert said(queue.take(10)) == arrived
    assert len(queue) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=60))
def test_nothing_is_lost_and_every_topic_keeps_its_order(script: list[tuple[str, int]]) -> None:
    queue, put, came = FairQueue(), defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for number, (topic, take) in enumerate(script, 1):
        queue.put(held(topic, number))
        put[topic].append(number)
        if take > 6:
            for one in queue.take(take - 5):
                came[one.message.topic].append(one.mid)
    for one in queue.take(1000):
        came[one.message.topic].append(one.mid)
    assert came == put
    assert len(queue) == 0
