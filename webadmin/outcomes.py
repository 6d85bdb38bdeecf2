"""What an ended run came to, where its state alone says too much: an agent may end well and have done nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from appliance.agent.explaining.domain import AnswerView
from appliance.agent.loop.ending import may_doubt
from appliance.runs.domain import RunState, StepState, Waiting
from appliance.runs.models import Run, Step

NOTHING, PARTLY, UNCONFIRMED, AGENT = "nothing_done", "partly_done", "unconfirmed", "agent"
"""Words of ``words.WORDS``."""


def outcome_of(answers: Iterable[AnswerView]) -> str:
    """Of the answers of a run's agents; empty where they did what they wanted to."""
    return _outcome(
        _Done(bool(one.not_done), bool(one.did or one.handed_over), bool(one.doubts)) for one in answers
    )


def outcomes(runs: Sequence[Run]) -> dict[UUID, str]:
    """Of those of these runs that succeeded with the warning of an agent that was denied something; and ``AGENT`` of
    those that wait for one. One query for all, and none where there are none."""
    ended = [run.pk for run in runs if run.state == RunState.SUCCEEDED and may_doubt(run.warning)]
    waiting = {run.pk for run in runs if run.waiting_for == Waiting.SHARDS}
    if not (ended or waiting):
        return {}
    found: dict[UUID, list[_Done]] = {}
    states = (StepState.SUCCEEDED, StepState.WAITING)
    steps = Step.objects.filter(run_id__in=[*ended, *waiting], kind="agent", state__in=states)
    at_work = set()
    for run_id, state, detail in steps.values_list("run_id", "state", "detail"):
        if state == StepState.WAITING:
            at_work.add(run_id)
        else:
            found.setdefault(run_id, []).append(_done(detail or {}))
    said = {run_id: _outcome(seen) for run_id, seen in found.items() if run_id not in waiting}
    return said | dict.fromkeys(at_work & waiting, AGENT)


class _Done(NamedTuple):
    """Of one agent: whether something was not done, whether something was, and whether its rows doubt its answer."""

    missed: bool
    did: bool
    doubted: bool


def _done(detail: Mapping[str, Any]) -> _Done:
    did = bool(detail.get("did") or detail.get("handed_over"))
    return _Done(bool(detail.get("not_done")), did, detail.get("unconfirmed") is True)


def _outcome(seen: Iterable[_Done]) -> str:
    found = list(seen)
    if any(one.missed for one in found):
        return PARTLY if any(one.did for one in found) else NOTHING
    return UNCONFIRMED if any(one.doubted for one in found) else ""
