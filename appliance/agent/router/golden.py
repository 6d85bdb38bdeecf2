"""The golden set: sentences with what they mean, and how often the router is right, wrong, or asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from appliance.agent.router.domain import Meaning, Routed
from appliance.agent.router.knowledge import KnownTask, World
from appliance.agent.router.lexicon import DATA
from appliance.agent.router.router import Router
from appliance.lib.errors import MillwrightError

SHIPPED = DATA / "golden.yaml"
ASK = "ask"


class GoldenInvalid(MillwrightError):
    code = "router.golden_invalid"


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Task(_Form):
    name: str
    description: str = ""
    phrases: list[str] = []
    numbers: list[str] = []


class _World(_Form):
    tasks: list[_Task] = []
    devices: list[str] = []
    topics: list[str] = []
    platforms: list[str] = []
    models: list[str] = []


class _Golden(_Form):
    world: _World
    lines: str


@dataclass(frozen=True, slots=True)
class Line:
    """``expected`` is None where nothing may be taken for sure; ``never`` may not even be offered then."""

    text: str
    expected: Meaning | None
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    text: str
    said: str


@dataclass(frozen=True)
class Result:
    """``wrong``: taken for something else, or something offered that must not be. ``asked``: nothing was taken."""

    lines: int
    taken: int
    right: int
    meant: int
    """Lines that mean something."""
    wrong: tuple[Fault, ...]
    asked: tuple[Fault, ...]

    @property
    def precision(self) -> float:
        """Share of what was taken that was right (0 to 1)."""
        return self.right / self.taken if self.taken else 1.0

    @property
    def coverage(self) -> float:
        """Share of what means something that was understood (0 to 1)."""
        return self.right / self.meant if self.meant else 1.0


def read_golden(path: Path = SHIPPED) -> tuple[World, tuple[Line, ...]]:
    """Raises GoldenInvalid."""
    try:
        raw: Any = yaml.safe_load(path.read_text())
        golden = _Golden.model_validate(raw)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GoldenInvalid(f"{path} is no golden set: {error}") from error
    given = golden.world
    world = World(
        tasks=tuple(
            KnownTask(t.name, t.description, tuple(t.phrases), tuple(t.numbers)) for t in given.tasks
        ),
        devices=tuple(given.devices),
        topics=frozenset(given.topics),
        platforms=tuple(given.platforms),
        models=tuple(given.models),
    )
    return world, tuple(_lines(golden.lines))


def judge(router: Router, lines: tuple[Line, ...]) -> Result:
    wrong, asked, right, taken = [], [], 0, 0
    for line in lines:
        routed = router.route(line.text)
        taken += routed.agreed
        if routed.agreed and _same(routed, line.expected):
            right += 1
        elif routed.agreed or _offers(routed, line):
            wrong.append(Fault(line.text, _said(routed)))
        elif line.expected is not None:
            asked.append(Fault(line.text, _said(routed)))
    meant = sum(line.expected is not None for line in lines)
    return Result(len(lines), taken, right, meant, tuple(wrong), tuple(asked))


def _same(routed: Routed, expected: Meaning | None) -> bool:
    return expected is not None and routed.meaning is not None and routed.meaning.key == expected.key


def _offers(routed: Routed, line: Line) -> bool:
    offered = {name for one in routed.alternatives for name in (one.intent, _with_task(one))}
    return bool(offered & set(line.never))


def _with_task(meaning: Meaning) -> str:
    return f"{meaning.intent}:{meaning.slots.get('task', '')}"


def _lines(text: str) -> Iterator[Line]:
    for number, written in enumerate(text.splitlines(), 1):
        if not written.strip():
            continue
        said, equals, rest = written.rpartition(" = ")
        words = rest.split()
        if not equals or not words:
            raise GoldenInvalid(f"line {number} of the golden set is no `sentence = meaning`: {written}")
        never = tuple(word[1:] for word in words if word.startswith("!"))
        slots = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        expected = None if words[0] == ASK else Meaning(words[0], slots)
        yield Line(said.strip(), expected, never)


def _said(routed: Routed) -> str:
    if routed.meaning is not None:
        slots = " ".join(f"{name}={value}" for name, value in routed.meaning.slots.items())
        return f"{routed.meaning.intent} {slots}".strip() + f" by {routed.how}"
    offered = ", ".join(_with_task(one) for one in routed.alternatives)
    return f"asks ({offered})" if offered else "asks"
