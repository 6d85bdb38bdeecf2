"""Similarity proposes, deterministic checks decide: no sentence is taken for what it does not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.agent.router.domain import Effect, How, Intent, Meaning, SlotType
from appliance.agent.router.golden import judge, read_golden
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import Asked
from appliance.agent.router.knowledge import Confirmed, KnownTask, World, build
from appliance.agent.router.lexicon import Name
from appliance.agent.router.router import Router
from appliance.inference.errors import ModelUnavailable

WORLD, LINES = read_golden()
ROUTER = Router(build(WORLD))
GREET = Meaning("task.run", {"task": "greet"})


def _is_never(meaning: Meaning, never: tuple[str, ...]) -> bool:
    return meaning.intent in never or f"{meaning.intent}:{meaning.slots.get('task', '')}" in never


class Model:
    """An interpreter that always says the same."""

    def __init__(self, meaning: Meaning | None) -> None:
        self.meaning = meaning
        self.asked: list[Asked] = []

    def interpret(self, asked: Asked) -> Meaning | None:
        self.asked.append(asked)
        return self.meaning


def test_no_sentence_of_the_golden_set_goes_wrong() -> None:
    result = judge(ROUTER, LINES)
    assert result.wrong == ()
    assert result.precision == 1.0
    assert result.coverage >= 0.95
    assert result.lines >= 400
    assert sum("\u4e00" <= one <= "\u9fff" for line in LINES for one in line.text[:1]) >= 40


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("run greet", "don't run greet"),
        ("运行 greet", "不要运行 greet"),
        ("enable greet", "do not enable greet"),
        ("打开车间的灯", "别打开车间的灯"),
    ],
)
def test_a_negation_is_never_a_command(said: str, denied: str) -> None:
    meant = ROUTER.route(said).meaning
    assert meant is not None
    assert ROUTER.route(denied).meaning is None
    assert all(one.key != meant.key for one in ROUTER.route(denied).alternatives)


def test_opposites_are_two_things() -> None:
    opened, closed = ROUTER.route("open the main valve"), ROUTER.route("close the main valve")
    assert (opened.slots, closed.slots) == ({"task": "open_valve"}, {"task": "close_valve"})
    on, off = ROUTER.route("打开车间的灯"), ROUTER.route("关闭车间的灯")
    assert (on.slots, off.slots) == ({"task": "lights_on"}, {"task": "lights_off"})


def test_what_changes_something_is_asked_back_unless_it_was_said_exactly() -> None:
    assert not ROUTER.route("run greet").asks
    assert not ROUTER.route("let the water in").asks
    for text in ("please run greet", "restart pump 1", "back up the database to the nas", "放水吧"):
        routed = ROUTER.route(text)
        assert routed.intent is not None
        assert routed.intent.effect is Effect.CHANGE
        assert routed.asks, text


def test_a_task_that_somebody_does_not_see_is_not_there() -> None:
    hidden = Name(SlotType.TASK, "greet")
    for text in ("run greet", "say hello to the team", "history of greet"):
        routed = ROUTER.route(text, lambda name: name != hidden)
        assert routed.meaning is None, text
        assert all("greet" not in one.slots.values() for one in routed.alternatives)


def test_a_confirmed_sentence_is_known_from_then_on() -> None:
    said = Confirmed("the usual, please", GREET, "user:ana")
    routed = Router(build(World(WORLD.tasks, confirmed=(said,)))).route("The usual, please!")
    assert (routed.meaning, routed.how, routed.asks) == (GREET, How.EXAMPLE, True)


def test_two_people_who_mean_different_things_are_asked() -> None:
    other = Meaning("task.run", {"task": "open_valve"})
    said = (Confirmed("the usual", GREET, "user:ana"), Confirmed("the usual", other, "user:ben"))
    routed = Router(build(World(WORLD.tasks, confirmed=said))).route("the usual")
    assert routed.meaning is None
    assert {one.key for one in routed.alternatives} == {GREET.key, other.key}


def test_an_example_of_a_task_that_is_gone_is_none() -> None:
    said = Confirmed("the usual", Meaning("task.run", {"task": "gone"}), "user:ana")
    assert Router(build(World(WORLD.tasks, confirmed=(said,)))).route("the usual").meaning is None


def test_what_a_model_says_goes_through_the_same_checks() -> None:
    knowledge = build(WORLD)
    yes = Router(knowledge, interpreter=Model(GREET)).route("run that greet thing for everybody")
    assert (yes.meaning, yes.how, yes.asks) == (GREET, How.MODEL, True)
    for text in (
        "by no means greet",
        "greet tomorrow",
        "greet at 5",
        "switch greet off or so",
        "postpone greet",
    ):
        assert Router(knowledge, interpreter=Model(GREET)).route(text).meaning is None, text


def test_a_task_that_only_a_model_names_is_not_meant() -> None:
    first = Model(Meaning("task.run", {"task": "restart_pump_1"}))
    router = Router(build(WORLD), interpreter=first)
    for text in ("start the third pump", "start that first pump", "start the lights", "run greet or so"):
        assert router.route(text).meaning is None, text


@pytest.mark.parametrize("intent", [one for one in own_intents() if one.effect is Effect.CHANGE])
def test_a_model_that_lies_changes_nothing(intent: Intent) -> None:
    """Whatever it says of the golden sentences, nothing is proposed that they do not mean."""
    knowledge = build(WORLD)
    for slots in ({}, {"task": "greet"}):
        router = Router(knowledge, interpreter=Model(Meaning(intent.id, slots)))
        for line in LINES:
            if line.expected is None and line.never:
                routed = router.route(line.text)
                offered = [one for one in (routed.meaning, *routed.alternatives) if one is not None]
                wrong = [one for one in offered if _is_never(one, line.never)]
                assert not wrong, (line.text, wrong)


def test_what_can_only_be_wrong_is_shown_to_no_model() -> None:
    model = Model(GREET)
    router = Router(build(WORLD), interpreter=model)
    for text in ("don't greet them", "greet them tomorrow", "greet them and go", "run greet"):
        assert not router.route(text).open or model.asked == []
    assert model.asked == []


def test_a_model_chooses_among_the_tasks_that_are_named() -> None:
    model = Model(None)
    Router(build(WORLD), interpreter=model).route("would somebody get greet going like last week")
    (asked,) = model.asked
    assert asked.tasks == ["greet"]


def test_a_model_is_asked_only_when_nothing_else_agrees() -> None:
    model = Model(None)
    router = Router(build(WORLD), interpreter=model)
    router.route("run greet")
    router.route("which tasks are there?")
    assert model.asked == []
    assert router.route("tell me a joke").meaning is None
    assert [one.text for one in model.asked] == ["tell me a joke"]


def test_a_model_that_is_away_is_a_question_back() -> None:
    class Away:
        def interpret(self, asked: Asked) -> Meaning | None:
            raise ModelUnavailable("the keeper of models does not run")

    assert Router(build(WORLD), interpreter=Away()).route("tell me a joke").meaning is None


def test_names_are_found_however_they_are_written() -> None:
    for text in ("run restart_pump_12", "RUN Restart-Pump 12", "ｒｕｎ restart pump 12"):
        assert ROUTER.route(text).slots == {"task": "restart_pump_12"}, text


def test_two_names_of_one_form_are_not_guessed_between() -> None:
    router = Router(build(World((KnownTask("pump_1"), KnownTask("pump-1")))))
    assert router.route("run pump 1").meaning is None


def test_every_own_sentence_means_its_intent() -> None:
    """Those without a name; two intents that claim one sentence would fail here."""
    for intent in own_intents():
        for text in intent.exemplars:
            if "{" not in text:
                routed = ROUTER.route(text)
                assert routed.intent is not None, text
                assert routed.intent.id == intent.id


@given(st.text(max_size=80))
def test_no_text_breaks_the_router_and_nothing_strange_changes_anything(text: str) -> None:
    routed = ROUTER.route(text)
    assert routed.intent is None or routed.asks or routed.intent.effect is Effect.READ


@given(
    st.sampled_from(["run greet", "打开车间的灯", "close the main valve"]),
    st.sampled_from([" ", "\u3000", "\t"]),
)
def test_blanks_and_width_make_no_difference(text: str, blank: str) -> None:
    wide = "".join(chr(ord(one) + 0xFEE0) if "!" < one <= "~" else one for one in text)
    assert ROUTER.route(f"{blank}{wide.replace(' ', blank)}{blank}").meaning == ROUTER.route(text).meaning
