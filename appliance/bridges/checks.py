"""Whether every chat platform hears what people write there."""

from appliance.bridges.liveness import liveness
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either


def _hears(patient: Patient) -> Found:
    found = liveness(patient.now)
    if not found:
        return absent("no platform is switched on")
    said = [
        f"{one.name} since {one.deaf_since:%Y-%m-%d %H:%M}: {one.message}" for one in found if one.deaf_since
    ]
    return either(not said, "; ".join(said)[:300] if said else f"{len(found)} of them")


CHECKS = (
    Check(
        "MW-G021", "Every chat platform hears what people write there", Severity.HIGH, _hears,
        "`manage.py platforms test NAME` says how far the box gets; the page Platforms takes a new token or "
        "proxy; one that is not needed can be switched off",
    ),
)  # fmt: skip
