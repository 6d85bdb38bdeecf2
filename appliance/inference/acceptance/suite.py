"""All tests of a model, one after another."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from appliance.inference.acceptance import completion, conformance, context, golden, injection, vectors
from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit
from appliance.inference.acceptance.engine import EngineRefused
from appliance.lib.said import say

SUITE: tuple[Check, ...] = (
    completion.CHECK,
    conformance.CHECK,
    context.CHECK,
    injection.CHECK,
    golden.CHECK,
    vectors.CHECK,
)


async def run_suite(
    subject: Subject,
    on_result: Callable[[Sequence[Result]], Awaitable[None]],
    checks: Sequence[Check] = SUITE,
) -> Sequence[Result]:
    """What each test that applies has found; ``on_result`` is told after each. Raises EngineBroke."""
    found: list[Result] = []
    for check in checks:
        if not check.applies(subject):
            continue
        began = time.monotonic()
        try:
            result = await check.run(subject)
        except EngineRefused as error:
            said = say("the engine refuses: %(why)s", why=error.message[:300])
            result = Result(check.name, 0, 1, Bound.AT_LEAST, Unit.SHARE, said, failed=True)
        found.append(replace(result, seconds=time.monotonic() - began))
        await on_result(found)
    return found


def names_for(*, embeddings: bool, golden_set: bool) -> list[str]:
    """Which tests there will be."""
    if embeddings:
        return [vectors.NAME]
    return [one.name for one in SUITE if one.name != vectors.NAME and (golden_set or one.name != golden.NAME)]
