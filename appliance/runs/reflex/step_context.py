"""What an action is told of the step that the reflex lane performs."""

from appliance.actions.contract import Connect, Services, StepContext
from appliance.actions.registry import registry
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.intent import Intent
from appliance.tasks.definition import StepSpec


def limit_of(spec: StepSpec) -> float:
    """Seconds that one attempt may take."""
    return spec.timeout.total_seconds() if spec.timeout else registry()[spec.type].default_timeout


def context_of(
    flight: Flight, intent: Intent, services: Services, connect: Connect, act_within: float | None
) -> StepContext:
    """``act_within``: seconds for which what it does is valid; None without a limit."""
    spec, run = intent.following.spec, flight.run
    chain = run.inputs.get("chain")
    return StepContext(
        run_id=run.id,
        step_id=spec.id,
        task_id=run.task_id,
        task_name=flight.definition.name,
        attempt=intent.following.attempt,
        key=f"{flight.run_id}/{spec.id}",
        principal=run.principal,
        priority=flight.definition.priority.rank,
        now=intent.at,
        timeout=limit_of(spec),
        ok_exit=(0,),
        services=services,
        connect=connect,
        confirm=spec.confirm,
        run_started_at=flight.created_at,
        chain=chain if isinstance(chain, int) else 0,
        act_within=act_within,
    )
