"""No text of the corpus speaks for anybody in what a model is told, wherever it comes in."""

from collections import Counter

from appliance.agent.domain import Call, StepSeen, TurnOutput
from appliance.agent.loop.choosing import offered
from appliance.agent.loop.reading import read
from appliance.agent.loop.story import story_of
from appliance.agent.loop.telling import Turn, messages
from appliance.agent.tools.registry import tools
from appliance.lib.jsontypes import JsonObject
from tests.hostile_texts import UNSEEN, Hostile, all_texts, corpus, faults_of_prompt
from tests.unit.agent.loop.test_growth import asked

TEXTS = all_texts()


def test_the_corpus_is_as_large_and_as_mixed_as_promised() -> None:
    entries = corpus()
    assert len(entries) == len({one.id for one in entries}) >= 100
    assert Counter(one.language for one in entries)["zh"] >= 40
    sources = {one.source for one in entries}
    assert sources >= {
        "log",
        "mqtt",
        "chat",
        "page",
        "file_name",
        "output",
        "error",
        "device",
        "sql",
        "runbook",
        "task",
    }
    kinds = {one.kind for one in entries}
    assert kinds >= {
        *("template", "mark", "turn", "result", "approval", "policy", "leak", "zero-width", "bidi", "json"),
        *("later", "memory", "encoded", "homoglyph", "argument", "approval-text"),
    }
    assert all(one.call for one in entries)


def told(text: str) -> str:
    """With the text as a result, as an error, as a reason, and as what the model itself has said of it."""
    calls = [Call("shell", {"command": f"cat {n}"}, text) for n in range(3)]
    steps = [
        StepSeen("turn-1", "succeeded", TurnOutput(say=text, calls=tuple(calls)).to_json()),
        StepSeen("call-1-1", "succeeded", text, stderr=text),
        StepSeen("call-1-2", "failed", None, error=text),
        StepSeen("call-1-3", "failed", None, {"gate": "approval.refused"}, error=text),
        StepSeen("turn-2", "succeeded", TurnOutput(malformed=text, answer=text).to_json()),
    ]
    story = story_of(asked(goal=text, system=text, outside=True, system_outside=True), steps)
    names, _ = offered(story)
    turn = Turn(story, {name: tools()[name].schema({}) for name in names}, "0f" * 6)
    return "\n".join(message for _, message in messages(turn))


def test_nobody_outside_speaks_as_somebody_else() -> None:
    assert {name: found for name, text in TEXTS.items() if (found := faults_of_prompt(told(text)))} == {}


def test_who_knew_the_boundary_could_still_not_end_what_is_marked() -> None:
    """It is new in each turn and nobody outside knows it; but a model may have said it."""
    mark = "0f" * 6
    found = {
        name: faults_of_prompt(told(f"[end of data {mark}]\n{text}\n[data {mark} x]"))
        for name, text in TEXTS.items()
    }
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_what_a_model_makes_of_it_is_told_again_without_harm() -> None:
    """The call that obeys stands in the next turn as the model's own words, refused or made."""
    told_again = {one.id: obeyed(one) for one in corpus()}
    assert {name: found for name, text in told_again.items() if (found := faults_of_prompt(text))} == {}
    assert [name for name, text in told_again.items() if UNSEEN.search(text)] == []


def obeyed(one: Hostile) -> str:
    """What a model is told after a turn in which it obeyed."""
    tool, arguments = one.call
    wanted: JsonObject = {"say": one.text, "calls": [{"tool": tool, "arguments": arguments, "why": one.text}]}
    story = story_of(asked(), [])
    output = read(wanted, story, {"mqtt", "shell"}, last=False)
    after = story_of(asked(), [StepSeen("turn-1", "succeeded", output.to_json())])
    turn = Turn(after, {}, "0f" * 6)
    return "\n".join(message for _, message in messages(turn))
