"""Only answers that change nothing are remembered, for a moment, and for one person."""

import pytest

from appliance.agent.router.answers import KEPT_FOR, AnswerCache
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import Asked, meaning_of, schema
from appliance.agent.router.knowledge import World
from appliance.agent.router.warm import Source, WarmRouter

INTENTS = {intent.id: intent for intent in own_intents()}


class Counter:
    def __init__(self) -> None:
        self.now, self.made = 0.0, 0
        self.cache: AnswerCache[int] = AnswerCache(lambda: self.now)

    def ask(self, intent: str = "tasks.list", by: str = "ana", revision: int = 1, **slots: str) -> int:
        return self.cache.get(INTENTS[intent], slots, by, revision, self._make)

    def _make(self) -> int:
        self.made += 1
        return self.made


def test_an_answer_is_good_for_a_moment() -> None:
    counter = Counter()
    assert [counter.ask(), counter.ask()] == [1, 1]
    counter.now = KEPT_FOR
    assert counter.ask() == 2


def test_another_person_slot_or_revision_is_another_answer() -> None:
    counter = Counter()
    answers = [
        counter.ask(),
        counter.ask(by="ben"),
        counter.ask(revision=2),
        counter.ask("device.state", device="a"),
        counter.ask("device.state", device="b"),
    ]
    assert answers == [1, 2, 3, 4, 5]


def test_what_changes_something_is_never_remembered() -> None:
    counter = Counter()
    assert [counter.ask("task.run", task="greet"), counter.ask("task.run", task="greet")] == [1, 2]


def test_it_does_not_grow() -> None:
    counter = Counter()
    for number in range(1000):
        counter.ask(by=str(number))
    assert len(counter.cache._kept) <= 256


def test_a_router_is_made_anew_only_when_the_box_has_changed() -> None:
    revision, pauses = [1], []
    source = Source(lambda: World(revision=(revision[0],)), lambda: (revision[0],))
    warm = WarmRouter(source, pause=lambda: pauses.append(1))
    assert not warm.is_warm
    assert warm.refresh()
    assert len(pauses) > 5
    first = warm.router()
    assert not warm.refresh()
    revision[0] = 2
    assert warm.refresh()
    assert warm.router() is not first


@pytest.mark.parametrize(
    "said", [None, [], {}, {"intent": "reboot"}, {"intent": ["help"]}, {"intent": "none", "task": "a"}]
)
def test_a_model_can_say_nothing_that_it_was_not_asked(said: object) -> None:
    assert meaning_of(said, Asked("x", list(INTENTS.values()), ["a"])) is None


def test_a_model_names_tasks_that_there_are() -> None:
    asked = Asked("x", list(INTENTS.values()), ["a"])
    named = meaning_of({"intent": "task.run", "task": "a"}, asked)
    assert named is not None
    assert named.slots == {"task": "a"}
    other = meaning_of({"intent": "task.run", "task": "b; rm"}, asked)
    assert other is not None
    assert other.slots == {}
    assert schema(asked)["properties"]["task"]["enum"] == ["", "a"]
