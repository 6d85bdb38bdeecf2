"""What a client hears in the end: which model and why, or why none."""

from appliance.inference.errors import ModelBusy
from appliance.inference.leases import Chosen, RefusedLease
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
