"""A chat trigger in a task file: its names, what is refused when it is saved, and which task a sentence means."""

import pytest

from appliance.bridges.commands import _WORDS
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.errors import TaskFileError
from appliance.tasks.loader import load_text
from appliance.tasks.matching import Armed
from appliance.tasks.phrase_table import Heard, PhraseTable

ACTIONS = "actions: [{type: set, value: 1}]\n"


def load(trigger: str, value: str = "1", name: str = "a", **known: object) -> TaskDefinition:
    text = f"name: {name}\ntriggers: [{trigger}]\nactions: [{{type: set, value: '{value}'}}]\n"
    return load_text(text, "t.yaml", **known)[0].definition  # type: ignore[arg-type]


def refused(trigger: str, value: str = "1") -> str:
    with pytest.raises(TaskFileError) as caught:
        load(trigger, value)
    return str(caught.value)


def test_short_and_long_form_and_its_stored_version_say_the_same() -> None:
    for written in ("chat restart pump {pump}", {"chat": "restart pump {pump}"}):
        one = written if isinstance(written, str) else '{chat: "restart pump {pump}"}'
        definition = load(f"'{one}'" if isinstance(written, str) else one, "{{ pump }} {{ payload.text }}")
        again = TaskDefinition.from_canonical(definition.to_canonical())
        assert again.triggers[0].chat is not None
        assert again.triggers[0].chat.sentences == ("restart pump {pump}",)
        assert str(again.triggers[0]) == "chat restart pump {pump}"
        assert again.triggers[0].id == definition.triggers[0].id


@pytest.mark.parametrize(
    ("trigger", "value", "says"),
    [
        ('{chat: "restart {run}"}', "1", "would hide the name `run`"),
        ('{chat: "restart {pump}"}', "{{ pupm }}", "did you mean `pump`"),
        ('{chat: {pattern: "restart {pump}", answer: "{{ pupm }}"}}', "1", "did you mean `pump`"),
        (
            '{chat: {pattern: "restart {pump}", patterns: ["go {pump}"]}}',
            "1",
            "has one of `pattern`, `patterns` and `otherwise: true`",
        ),
        ("{chat: {platform: telegram}}", "1", "has one of `pattern`, `patterns` and `otherwise: true`"),
        ('{chat: {patterns: ["restart {pump}", "go"]}}', "1", "capture the same names"),
        ('{chat: "restart {pump}", debounce: 5s}', "1", "`debounce` waits for the end of a burst"),
        ('{chat: "restart {pump}", for: 5s, when: "{{ true }}"}', "1", "`for` needs an mqtt trigger"),
        ('{chat: "restart {a}{b}"}', "1", "need something between"),
        ('{chat: {pattern: "restart", platform: "no such"}}', "1", "the name of a platform"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_saved(trigger: str, value: str, says: str) -> None:
    assert says in refused(trigger, value)


@pytest.mark.parametrize("word", sorted(_WORDS))
def test_no_pattern_hides_a_word_of_the_box(word: str) -> None:
    for pattern in (
        word,
        f"{word} now",
        f"/{word} {{x}}",
        f"{word.upper()} {{x}}",
        f"{word}{{x}}",
        f"{word}: x",
    ):
        assert "begin it with a word of its own" in refused(f'{{chat: "{pattern}"}}'), pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "{x}",
        "{x} pump",
        "{x...}",
        "s{x}",
        "sto{x}",
        "停{x}",
        "急{x}",
        "r{x}",
        "ｓｔｏｐ it",
        "停 止泵",
        "急 停",
    ],
)
def test_no_pattern_could_be_stop_or_another_word(pattern: str) -> None:
    assert "begin it with a word of its own" in refused(f'{{chat: "{pattern}"}}')


@pytest.mark.parametrize(
    "pattern", ["restart {x}", "stopwatch {x}", "重启{x}", "runner up", "pumps {x...}", "status-quo"]
)
def test_other_words_are_free(pattern: str) -> None:
    (trigger,) = load(f'{{chat: "{pattern}"}}').triggers
    assert trigger.kind == "chat"


def test_a_platform_that_is_not_there_yet_is_a_warning() -> None:
    text = 'name: a\ntriggers: [{chat: {pattern: "go {x}", platform: [telegram, webchat]}}]\n' + ACTIONS
    loaded = load_text(text, "t.yaml", known_platforms={"webchat"})[0]
    assert ["no platform `telegram`" in str(one) for one in loaded.warnings] == [True]


def table(*written: tuple[str, str]) -> PhraseTable:
    armed = []
    for number, (name, trigger) in enumerate(written):
        definition = load(trigger, name=name)
        armed += [Armed(number, 1, definition, one) for one in definition.triggers]
    return PhraseTable(armed)


def meant(phrases: PhraseTable, text: str, platform: str = "telegram", conversation: str = "7") -> list[str]:
    heard = Heard(text, platform, conversation, "ann")
    return [f"{one.armed.definition.name} {one.captures}" for one in phrases.match(heard)]


def test_the_sentence_that_says_more_itself_wins_and_a_tie_gives_both() -> None:
    phrases = table(
        ("any", '{chat: "restart {x} {y}"}'),
        ("pump", '{chat: "restart pump {y}"}'),
        ("twin", '{chat: "restart pump {z}"}, {chat: "restart pump {w}"}'),
        ("three", '{chat: "restart pump 3"}'),
    )
    assert meant(phrases, "restart fan 3") == ["any {'x': 'fan', 'y': '3'}"]
    assert meant(phrases, "restart pump 3") == ["three {}"]
    assert meant(phrases, "restart pump 4") == ["pump {'y': '4'}", "twin {'z': '4'}"]
    assert meant(phrases, "good morning") == []


def test_a_trigger_listens_only_where_it_says() -> None:
    phrases = table(("a", '{chat: {pattern: "go {x}", platform: telegram, conversation: "7"}}'))
    assert meant(phrases, "go 1") == ["a {'x': '1'}"]
    assert meant(phrases, "go 1", conversation="8") == []
    assert meant(phrases, "go 1", platform="slack") == []


OTHERWISE = (
    "- name: t\n  trigger: {{chat: {chat}}}\n  actions: [{{type: set, value: '{{{{ payload.text }}}}'}}]\n"
)


def listening(*chats: str) -> PhraseTable:
    armed = []
    for number, chat in enumerate(chats, 1):
        text = OTHERWISE.format(chat=chat).replace("name: t", f"name: t{number}")
        definition = load_text(text, "t.yaml")[0].definition
        armed.append(Armed(number, number, definition, definition.triggers[0]))
    return PhraseTable(armed)


def taken(
    table: PhraseTable, text: str, *, private: bool = True, platform: str = "tg"
) -> list[tuple[str, str]]:
    found = table.otherwise(Heard(text, platform, "c1", "ann"), private=private)
    return [(one.armed.definition.name, one.text) for one in found]


def test_otherwise_takes_whatever_is_said_in_private_as_it_was_said() -> None:
    table = listening("{otherwise: true}")
    assert taken(table, "  Why is Pump 3 HOT? ") == [("t1", "Why is Pump 3 HOT?")]
    assert taken(table, "") == []
    assert table.match(Heard("anything", "tg", "c1", "ann")) == []


def test_in_rooms_it_listens_only_where_its_author_says_so() -> None:
    assert taken(listening("{otherwise: true}"), "why?", private=False) == []
    assert taken(listening("{otherwise: true, rooms: true}"), "why?", private=False) == [("t1", "why?")]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("mill, why is it hot?", "why is it hot?"),
        ("@Mill why?", "why?"),
        ("MILL：为什么？", "为什么？"),
        ("miller, why?", None),
        ("why, mill?", None),
        ("mill", None),
    ],
)
def test_in_a_room_a_name_calls_it(said: str, text: str | None) -> None:
    table = listening("{otherwise: true, names: [mill]}")
    assert taken(table, said, private=False) == ([("t1", text)] if text else [])


def test_of_several_the_one_counts_that_names_the_place_most_closely() -> None:
    wide, near, nearest = (
        "{otherwise: true}",
        "{otherwise: true, platform: tg}",
        "{otherwise: true, conversation: c1}",
    )
    assert taken(listening(wide, near), "x") == [("t2", "x")]
    assert taken(listening(wide, near, nearest), "x") == [("t3", "x")]
    assert taken(listening(wide, near), "x", platform="slack") == [("t1", "x")]
    assert taken(listening(wide, wide), "x") == [("t1", "x"), ("t2", "x")]


@pytest.mark.parametrize(
    "chat", ["{otherwise: true, pattern: go}", "{pattern: go, rooms: true}", "{pattern: go, names: [mill]}"]
)
def test_otherwise_stands_in_the_place_of_a_sentence(chat: str) -> None:
    with pytest.raises(TaskFileError):
        load_text(OTHERWISE.format(chat=chat), "t.yaml")
