"""What an action is told of the step that it performs."""

from collections.abc import Callable
from datetime import datetime, timedelta

from appliance.actions.contract import Connect, Kind, Services, StepContext
from appliance.lib.leaving import Leaving
from appliance.runs.ceiling import ceiling_of
from appliance.runs.fencing import RunFence
from appliance.runs.growing import above
from appliance.runs.origins import handed_on
from appliance.runs.plan import Next, Phase
from appliance.runs.shards.body import grows
from appliance.runs.walk import Walk
from appliance.safety.policy.vocabulary import OwnAgent
from appliance.safety.understood import Understood

OnOutput = Callable[[str, str, str, bytes], None]


def limit_of(walk: Walk, following: Next, kind: Kind, now: datetime) -> float:
    """Seconds that one attempt may take: the step's own time limit, and not beyond that of the run."""
    spec = following.spec
    limit = spec.timeout.total_seconds() if spec.timeout else kind.default_timeout
    if walk.row.deadline is not None and following.phase is Phase.ACTIONS:
        limit = max(0.05, min(limit, (walk.row.deadline - now).total_seconds()))
    return limit


def context_of(
    walk: Walk,
    following: Next,
    kind: Kind,
    services: Services,
    connect: Connect,
    emit: OnOutput | None,
    command: Understood | None,
    now: datetime,
    timeout: float,
    act_within: timedelta | None,
    leaving: Leaving,
    own_agent: OwnAgent,
) -> StepContext:
    spec, row, inputs = following.spec, walk.row, walk.row.inputs
    run_id, step = str(row.id), spec.id
    return StepContext(
        run_id=row.id,
        step_id=spec.id,
        task_id=row.task_id,
        task_name=walk.definition.name,
        attempt=following.attempt,
        key=f"{row.id}/{spec.id}",
        principal=row.acts_for,
        priority=walk.definition.priority.rank,  # not the row's, which a line may have lifted
        now=now,
        timeout=timeout,
        ok_exit=spec.ok_exit if spec.ok_exit is not None else kind.default_ok_exit(spec.params),
        services=services,
        connect=connect,
        on_output=(lambda stream, data: emit(run_id, step, stream, data)) if emit else None,
        resumed_from=following.resumed_from,
        confirm=spec.confirm,
        run_started_at=row.created_at,
        chain=chain if isinstance(chain := inputs.get("chain"), int) else 0,
        depth=depth if isinstance(depth := inputs.get("depth"), int) else 0,
        command=command,
        ceiling=ceiling_of(walk.definition, inputs).value,
        origins=handed_on(row.origin, row.also),
        above=(*above(inputs), *([run_id] if grows(row) else [])),
        unattended=walk.definition.is_unattended(row.trigger),
        leaving=leaving,
        own_agent=own_agent,
        act_within=act_within.total_seconds() if act_within is not None else None,
        chosen=spec.proposed.chosen if spec.proposed is not None else frozenset(),
        kept=walk.kept,
        fence=RunFence(walk),
    )
