"""Which tools a turn is given: few, so that a small model chooses well. Pure."""

from functools import lru_cache
from typing import Any

from appliance.agent.domain import Mode, Risk
from appliance.agent.loop.shape import MORE
from appliance.agent.loop.story import Story
from appliance.agent.loop.toolbox import toolbox
from appliance.agent.tools.contract import Tool
from appliance.inference.embeddings.ngrams import NgramEncoder, Sparse

AT_ONCE = 8
_encoder = NgramEncoder()


def offered(story: Story) -> tuple[list[str], bool]:
    """The names, and whether there are more than these. Those called before stay; the rest are nearest to the goal."""
    known = toolbox(story.asked)
    allowed = [
        name
        for name in story.asked.tools
        if name in known
        and (story.asked.mode is not Mode.WATCH or known[name].risk is Risk.READ or name == "shell")
    ]
    if len(allowed) <= AT_ONCE:
        return allowed, False
    used = [result.call.tool for result in story.results if result.call.is_made]
    wanted = [
        str(result.call.arguments.get("about", "")) for result in story.results if result.call.tool == MORE
    ]
    goal = [_sparse(text) for text in (story.asked.goal, *wanted[-2:])]
    near = sorted(allowed, key=lambda name: -max(_near(_of(known[name]), one) for one in goal))
    first = [name for name in dict.fromkeys(reversed(used)) if name in allowed][: AT_ONCE // 2]
    return [*first, *(name for name in near if name not in first)][:AT_ONCE], True


def _of(tool: Tool[Any]) -> Sparse:
    return _sparse(f"{tool.name.replace('.', ' ')} {tool.says}")


@lru_cache(maxsize=256)
def _sparse(text: str) -> Sparse:
    return _encoder.sparse(text)


def _near(one: Sparse, other: Sparse) -> float:
    return sum(weight * other.get(place, 0.0) for place, weight in one.items())
