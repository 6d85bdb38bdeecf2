"""What a step gave, with every secret that the box knows taken out."""

from dataclasses import replace

from appliance.actions.contract import StepResult
from appliance.lib.masking import KNOWN


def without_secrets(result: StepResult) -> StepResult:
    """Output, error output, error, details and findings are masked. A checkpoint is not: the action reads it back."""
    return replace(
        result,
        output=KNOWN.value(result.output),
        detail=KNOWN.object(result.detail),
        stderr=KNOWN.text(result.stderr),
        error=KNOWN.text(result.error),
        undeclared=tuple(map(KNOWN.text, result.undeclared)),
    )
