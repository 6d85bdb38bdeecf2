"""Whether models are asked at all."""

from appliance.lib.doctor import Check, Found, Patient, Severity, good, problem


def asked(patient: Patient) -> Found:
    config = patient.config
    if not config.models_refused:
        return good()
    allowed = ", ".join(sorted(config.standin_models)) or "none"
    return problem(f"real models are refused (MILLWRIGHT_MODELS); stand-ins: {allowed}")


CHECKS = (
    Check(
        "MW-G034", "Real models may be asked", Severity.LOW, asked,
        "take `MILLWRIGHT_MODELS=refused` out of the settings, and start the box again",
    ),
)  # fmt: skip
