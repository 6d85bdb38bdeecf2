"""What is kept of an answer's rows: what was done, and what people said no to."""

from appliance.agent.conversations.facts import facts_in, kept_facts
from appliance.lib.jsontypes import JsonObject

ROW: JsonObject = {"step": "call-1-1", "tool": "mqtt", "arguments": {"topic": "lamp"}, "said": "x" * 500}
DETAIL: JsonObject = {
    "turns": 2,
    "did": [{**ROW, "fate": "done"}],
    "not_done": [{**ROW, "fate": "denied"}, {**ROW, "tool": "shell", "fate": "failed"}],
}


def test_each_call_is_kept_in_a_few_words_without_what_came_of_it() -> None:
    kept = kept_facts(DETAIL)
    assert kept == {
        "did": [{"call": 'mqtt {"topic": "lamp"}', "fate": "done"}],
        "not_done": [
            {"call": 'mqtt {"topic": "lamp"}', "fate": "denied"},
            {"call": 'shell {"topic": "lamp"}', "fate": "failed"},
        ],
    }
    assert facts_in(kept) == (
        'done: mqtt {"topic": "lamp"} | not done: mqtt {"topic": "lamp"}; shell {"topic": "lamp"}'
    )


def test_a_row_that_nobody_wrote_says_nothing() -> None:
    for strange in ({}, {"did": 5}, {"did": ["x", {"other": 1}]}):
        assert facts_in(strange) == ""  # type: ignore[arg-type]  # malformed on purpose
