"""What a client hears in the end: which model and why, or why none."""

from appliance.inference.errors import ModelBusy, ModelUnavailable
from appliance.inference.leases import Chosen, Granted, RefusedLease
from appliance.inference.scheduling.instance import Instance
from appliance.inference.scheduling.line import Waiter
from appliance.lib.errors import MillwrightError


def refusal(error: MillwrightError) -> RefusedLease:
    return RefusedLease(
        code=error.code,
        message=error.message,
        hint=error.hint or "",
        retry_after=error.retry_after if isinstance(error, ModelBusy) else None,
    )


def chosen(waiter: Waiter, instance: Instance) -> Chosen:
    served, wish = instance.served, waiter.wish
    before = tuple((name, why) for name, why in waiter.rejected.items() if name != served.name)
    if wish.model:
        reason = "it was asked for by name"
    elif before:
        reason = f"the first for {wish.work.value} that can answer in time"
    else:
        reason = f"the first choice for {wish.work.value}"
    return Chosen(
        model=served.manifest.name,
        version=served.manifest.version,
        digest=served.manifest.digest,
        engine=served.profile.engine,
        reason=reason,
        rejected=before,
    )


def granted(waiter: Waiter, instance: Instance, lease: str) -> Granted:
    """Where the engine is, for whoever was chosen to have it."""
    assert instance.running is not None
    assert instance.plan is not None
    served, running = instance.served, instance.running
    return Granted(
        lease=lease,
        url=running.url,
        key=running.key,
        served_name=running.served_as or served.manifest.name,
        context=served.profile.context,
        slots=served.profile.slots,
        generation=instance.generation,
        chosen=chosen(waiter, instance),
    )


def none(waiter: Waiter, head: str, *, late: bool) -> MillwrightError:
    """Why there is none for it: of each that could have been, what stands in the way."""
    said = "; ".join(f"{name}: {why}" for name, why in waiter.rejected.items())
    if late:
        return ModelBusy(f"{head}: {said or waiter.said or 'all are at work'}")
    return ModelUnavailable(f"{head}: {said or 'nothing is served for this work'}")
