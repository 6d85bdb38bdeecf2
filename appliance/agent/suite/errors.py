"""What the suite refuses."""

from appliance.lib.errors import MillwrightError


class ProblemInvalid(MillwrightError):
    """A problem that is none, or is not there."""

    code = "agent.problem_invalid"


class NoScratchPlace(MillwrightError):
    """The suite makes and unmakes a plant of its own: it does so in a home of its own, and nowhere else."""

    code = "agent.no_scratch_place"
