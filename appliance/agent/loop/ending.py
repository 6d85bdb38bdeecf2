"""When an agent is ended by the box, and what is read back of what it did. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.agent.domain import Risk, TurnOutput
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import made
from appliance.agent.loop.story import IDLE_AT_MOST, Fate, Result, Story
from appliance.agent.spelling import short, telling
from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue


def ends_before_asking(story: Story, *, unattended: bool) -> str:
    """Why no model is asked any more; empty where one is."""
    if unattended and story.not_allowed:
        return f"denied, and nobody is there to ask: {story.not_allowed[-1].said}"
    if story.idle >= IDLE_AT_MOST:
        return f"it made no progress in {IDLE_AT_MOST} turns: {_why_idle(story)}"
    return ""


def _why_idle(story: Story) -> str:
    turn = story.past[-1]
    refused = [result.said for result in turn.results if result.fate is Fate.REFUSED]
    return turn.output.malformed or (refused[-1] if refused else "it called nothing")


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the rows say of the calls that may change something."""

    done: tuple[Result, ...]
    handed_over: tuple[Result, ...]
    missed: tuple[Result, ...]
    """Failed, denied, not decided, ended with its run, or never made."""
    held_back: tuple[Result, ...]
    fixed: Mapping[str, JsonMapping] = field(default_factory=dict)
    """What the author has fixed of each tool, as far as it says what a call is about."""

    def doubts(self, output: TurnOutput) -> str:
        """What the answer leaves open, as a sentence; empty where it stands. One that claims no change is no lie:
        what was not done is told beside it."""
        names = "; ".join(f"{self._name(one)} {_WORDS[one.fate]}" for one in self.missed[:5])
        if output.changed and not (self.done or self.handed_over):
            return f"{_CLAIMED}: {names}" if names else _CLAIMED
        return f"{_MISSED if output.changed else _NOT_DONE}{names}" if names else ""

    def _name(self, one: Result) -> str:
        return short(one.call.tool, {**self.fixed.get(one.call.tool, {}), **one.call.arguments}, 100)

    def to_json(self) -> JsonObject:
        lists = {
            "did": self.done,
            "handed_over": self.handed_over,
            "not_done": self.missed,
            "would_have_done": self.held_back,
        }
        return {name: [self._row(one) for one in found] for name, found in lists.items() if found}

    def _row(self, one: Result) -> JsonValue:
        fixed = self.fixed.get(one.call.tool)
        return _row(one) | ({"fixed": dict(fixed)} if fixed else {})


def may_doubt(text: str) -> bool:
    """Whether the doubts about an answer may stand in a text."""
    return _NOT_DONE in text or _MISSED in text or _CLAIMED in text


def is_lie(doubts: str) -> bool:
    """Whether the answer says that something was changed, and nothing was."""
    return doubts.startswith(_CLAIMED)


def is_honest(doubts: str) -> bool:
    """Whether the answer claims no change: no row speaks against it."""
    return doubts.startswith(_NOT_DONE)


def not_confirmed(doubts: str) -> str:
    """What the box puts behind an answer."""
    return f"\n\n[N{doubts[1:]}.]" if is_honest(doubts) else f"\n\n[Not confirmed: {doubts}.]"


PROPOSES = ("agent_note", "agent_propose")
"""Kinds of step that change nothing until a person has decided."""
_NOT_DONE = "not done: "
_MISSED = "not everything was done: "
_CLAIMED = "it says that something was changed, and nothing was"
_WORDS = {
    Fate.FAILED: "failed",
    Fate.DENIED: "was denied",
    Fate.LAPSED: "was not decided",
    Fate.CANCELLED: "was ended with its run",
    Fate.REFUSED: "was not made",
    Fate.UNDER_WAY: "was not made",
}


def read_back(story: Story) -> ReadBack:
    """What was tried again and then worked is not missed."""
    changing = [result for result in story.results if _changes(story, result)]
    done = tuple(result for result in changing if result.fate is Fate.DONE and not _proposes(story, result))
    good = {_key(result) for result in changing if result.fate in (Fate.DONE, Fate.HANDED_OVER)}
    missed: dict[bytes, Result] = {}
    for result in changing:
        key = _key(result)
        # What was denied, and was asked for once more in vain, was denied.
        if result.fate in _WORDS and key not in good and not (result.fate is Fate.REFUSED and key in missed):
            missed[key] = result
    return ReadBack(
        done,
        tuple(result for result in changing if result.fate is Fate.HANDED_OVER),
        tuple(missed.values()),
        tuple(result for result in changing if result.fate is Fate.HELD_BACK),
        {name: telling(fixed) for name, fixed in story.asked.tools.items()},
    )


def _changes(story: Story, result: Result) -> bool:
    """Whether the call may change something. One that was refused counts where its tool and arguments were in order;
    one that was made counts, where this version of the box does not know any more what it was."""
    try:
        return made(story.asked, result.call).risk is not Risk.READ
    except ToolUnknown:
        return result.call.is_made


def _proposes(story: Story, result: Result) -> bool:
    try:
        return made(story.asked, result.call).raw.get("type") in PROPOSES
    except ToolUnknown:
        return False


def _key(result: Result) -> bytes:
    return canonical_json([result.call.tool, result.call.arguments])


def _row(result: Result) -> JsonObject:
    return {
        "step": result.step,
        "tool": result.call.tool,
        "arguments": result.call.arguments,
        "fate": result.fate.value,
        "said": result.said[:500],
    }
