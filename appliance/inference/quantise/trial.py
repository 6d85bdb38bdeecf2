"""What fewer bits have cost and brought: the same questions to the model before and after."""

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.errors import ModelRefused
from appliance.inference.quantise.asking import Asked, asked
from appliance.sandbox.ports import Sandbox

PROMPTS = Path(__file__).with_name("prompts.txt")
ENOUGH = 0.90
"""Of the next tokens the same: below that, somebody should look before it is used."""
_STEPS, _SPEED_TOKENS, _SPEED_RUNS = 8, 64, 3
_MOST_PROMPTS, _LONGEST_PROMPT = 1000, 2000


@dataclass(frozen=True, slots=True)
class Trial:
    """``same`` of ``compared``: next tokens, each after the same text, that both models choose. Speeds are tokens/s."""

    compared: int
    same: int
    speed_before: float
    speed_after: float

    @property
    def agreement(self) -> float:
        return self.same / self.compared if self.compared else 0.0

    @property
    def is_enough(self) -> bool:
        return self.agreement >= ENOUGH


@dataclass(frozen=True, slots=True)
class _Answers:
    speed: float
    prompts: list[list[int]]
    chosen: list[tuple[int, ...]]


def read_prompts(file: Path = PROMPTS) -> list[str]:
    """One a line. Raises ModelRefused."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelRefused(f"the prompts in {file} cannot be read") from error
    found = [line[:_LONGEST_PROMPT] for line in lines if line.strip()][:_MOST_PROMPTS]
    if not found:
        raise ModelRefused(f"there is no prompt in {file}")
    return found


def try_both(
    before: Path,
    after: Path,
    sandbox: Sandbox,
    work: Path,
    prompts: Sequence[str],
    on_progress: OnProgress = nobody,
) -> Trial:
    """One after the other, so that both never need memory at once. Raises ModelUnavailable, EngineAbsent."""
    return asyncio.run(_try_both(before, after, sandbox, work, prompts, on_progress))


async def _try_both(
    before: Path, after: Path, sandbox: Sandbox, work: Path, prompts: Sequence[str], on_progress: OnProgress
) -> Trial:
    total = 2 * len(prompts)
    async with asked(before, sandbox, work) as engine:
        first = await _answers(
            engine, prompts, lambda at: on_progress(Progress("trying", at, total, unit="prompts"))
        )
    same = compared = 0
    async with asked(after, sandbox, work) as engine:
        speed = await _speed(engine, first.prompts[0])
        for at, (prompt, chosen) in enumerate(zip(first.prompts, first.chosen, strict=True), 1):
            for step, token in enumerate(chosen):
                # Each after what the model before has said: one other word does not make all that follow others.
                said = await engine.goes_on([*prompt, *chosen[:step]], 1)
                compared += 1
                same += said.tokens[:1] == (token,)
            on_progress(Progress("trying", len(prompts) + at, total, unit="prompts"))
    return Trial(compared, same, first.speed, speed)


async def _answers(engine: Asked, prompts: Sequence[str], on_prompt: Callable[[int], None]) -> _Answers:
    numbered = [await engine.tokens_of(prompt) for prompt in prompts]
    speed = await _speed(engine, numbered[0])
    chosen = []
    for at, prompt in enumerate(numbered, 1):
        chosen.append((await engine.goes_on(prompt, _STEPS, to_the_end=True)).tokens)
        on_prompt(at)
    return _Answers(speed, numbered, chosen)


async def _speed(engine: Asked, prompt: list[int]) -> float:
    """The middle one of a few runs, after one that warms up."""
    await engine.goes_on(prompt, 4, to_the_end=True)
    runs = [await engine.goes_on(prompt, _SPEED_TOKENS, to_the_end=True) for _ in range(_SPEED_RUNS)]
    return statistics.median(len(one.tokens) / one.seconds if one.seconds else 0.0 for one in runs)
