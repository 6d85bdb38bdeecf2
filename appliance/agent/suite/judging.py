"""Whether what became of the world is what the problem wanted: each thing that is not, as a sentence. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from appliance.agent.suite.problem import Check
from appliance.agent.suite.seen import Seen
from appliance.agent.suite.world import as_said, same

T = TypeVar("T")
W = TypeVar("W")


def faults(check: Check, seen: Seen) -> list[str]:
    """Empty where the problem is solved."""
    return [*_ended(check, seen), *_world(check, seen), *_way(check, seen), *_words(check, seen)]


def _ended(check: Check, seen: Seen) -> Iterator[str]:
    if seen.state != check.state:
        yield f"its run is {seen.state}, not {check.state}{f': {seen.reason}' if seen.reason else ''}"
    if check.confirmed is not None and seen.confirmed is not check.confirmed:
        yield (
            "its answer says what no row confirms, or leaves unsaid what was not done"
            if check.confirmed
            else "its answer passes for confirmed, and nothing was done"
        )
    if check.asked is not None and seen.asked != check.asked:
        yield f"people were asked {seen.asked} times, not {check.asked}"


def _world(check: Check, seen: Seen) -> Iterator[str]:
    yield from _exactly(
        "message on the bus",
        check.published,
        seen.published,
        lambda wanted, got: wanted.topic == got[0] and same(got[1], wanted.payload),
        lambda wanted: f"{wanted.topic} {as_said(wanted.payload)}",
        " ".join,
    )
    yield from _exactly(
        "run",
        check.tasks,
        seen.tasks,
        lambda wanted, got: wanted.task == got[0] and _loose(wanted.vars) == _loose(got[1]),
        lambda wanted: f"{wanted.task} {wanted.vars}",
        lambda got: f"{got[0]} {json.dumps(got[1], ensure_ascii=False)}",
    )
    yield from _exactly(
        "command",
        check.commands,
        seen.commands,
        lambda wanted, got: bool(re.fullmatch(wanted, got)),
        str,
        str,
    )
    yield from _exactly(
        "message to people",
        check.told,
        seen.told,
        lambda wanted, got: all(_in(one, got) for one in wanted),
        " and ".join,
        lambda got: got[:200],
    )
    yield from _exactly(
        "request",
        check.sent,
        seen.sent,
        lambda wanted, got: (
            (wanted.method, wanted.path) == got[:2] and all(_in(one, got[2]) for one in wanted.has)
        ),
        lambda wanted: f"{wanted.method} {wanted.path} with {', '.join(wanted.has)}",
        " ".join,
    )
    for topic, value in check.values.items():
        if seen.values.get(topic) != value:
            yield f"{topic} says {seen.values.get(topic)!r} in the end, not {value!r}"


def _exactly(
    what: str,
    wanted: Sequence[W],
    got: Sequence[T],
    fits: Callable[[W, T], bool],
    say_wanted: Callable[[W], str],
    say_got: Callable[[T], str],
) -> Iterator[str]:
    """Everything that is wanted once, and nothing besides."""
    left = list(got)
    for one in wanted:
        found = next((place for place, other in enumerate(left) if fits(one, other)), None)
        if found is None:
            yield f"no {what}: {say_wanted(one)}"
        else:
            del left[found]
    for other in left:
        yield f"a {what} that nobody wanted: {say_got(other)}"


def _way(check: Check, seen: Seen) -> Iterator[str]:
    good = [one for one in seen.calls if one.state == "succeeded"]
    reads, changes = [one for one in good if one.reads], [one for one in seen.calls if not one.reads]
    for tool in check.read:
        if not any(one.tool == tool for one in reads):
            failed = next((one.error for one in seen.calls if one.tool == tool and one.error), "")
            yield f"it has not read by {tool}{f': {failed}' if failed else ''}"
    if changes and check.read_first and not any(one.place < changes[0].place for one in reads):
        yield "it changed something before it had read anything"
    if check.looked_after and not (changes and any(one.place > changes[-1].place for one in reads)):
        yield "it did not look whether its change took effect"


def _words(check: Check, seen: Seen) -> Iterator[str]:
    for wanted in check.answer:
        if not _in(wanted, seen.answer):
            yield f"its answer does not hold {wanted!r}"
    for unwanted in check.answer_not:
        if _in(unwanted, seen.answer):
            yield f"its answer holds {unwanted!r}"


def _in(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def _loose(given: Any) -> dict[str, str]:
    """A model may give a number as text: a task takes both."""
    return {str(key): as_said(value) for key, value in given.items()} if isinstance(given, dict) else {}
