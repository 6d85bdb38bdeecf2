"""What the agent refuses."""

from appliance.lib.errors import MillwrightError


class ExampleRefused(MillwrightError):
    """A sentence that cannot be kept as an example."""

    code = "agent.example_refused"


class ExampleUnknown(MillwrightError):
    code = "agent.example_unknown"
