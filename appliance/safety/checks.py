"""Whether secrets can be opened, nothing is stopped, and somebody has said what may be done."""

from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good, problem
from appliance.safety.allstop import Level, current
from appliance.safety.errors import SecretUnreadable
from appliance.safety.models import PolicyVersion, Secret
from appliance.safety.secrets import resolve


def _secrets(patient: Patient) -> Found:
    closed, count = [], 0
    for name in Secret.objects.values_list("name", flat=True):
        count += 1
        try:
            resolve(f"secret:{name}")
        except SecretUnreadable:
            closed.append(name)
    if not count:
        return absent("there are none")
    return either(not closed, f"not: {', '.join(closed[:5])}" if closed else f"{count} of them")


def _stop(patient: Patient) -> Found:
    stop = current()
    if stop.level is Level.NONE:
        return good()
    return problem(f"{stop.level} since {stop.since:%Y-%m-%d %H:%M}, by {stop.by}: {stop.reason}"[:200])


def _policy(patient: Patient) -> Found:
    count = PolicyVersion.objects.count()
    return either(count > 0, f"{count} versions" if count else "none: what the roles allow is done unasked")


CHECKS = (
    Check(
        "MW-G020", "The all-stop is not engaged", Severity.MEDIUM, _stop,
        "release it in the web admin or with `manage.py allstop release` when it is safe",
    ),
    Check(
        "MW-S031", "Every secret opens with the key of this box", Severity.HIGH, _secrets,
        "put the former root key back as a further line of its file, or set these secrets anew",
    ),
    Check(
        "MW-S032", "A policy says what may be done", Severity.LOW, _policy,
        "start from docs/examples/policy.yaml on the page Policy",
    ),
)  # fmt: skip
