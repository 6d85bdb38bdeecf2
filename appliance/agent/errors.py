"""What the agent refuses."""

from appliance.lib.errors import MillwrightError


class ExampleRefused(MillwrightError):
    """A sentence that cannot be kept as an example."""

    code = "agent.example_refused"


class ExampleUnknown(MillwrightError):
    code = "agent.example_unknown"


class ToolUnknown(MillwrightError):
    """A step names a tool that is not there, or gives it what does not fit."""

    code = "agent.tool_unknown"


class QueryRefused(MillwrightError):
    """What an agent asks the box is not there, or not for whoever it acts for."""

    code = "agent.query_refused"


class AnswerUnreadable(MillwrightError):
    """A model's answer is nothing of the kind that was asked for."""

    code = "agent.answer_unreadable"


class AgentNotFound(MillwrightError):
    """A run has no such agent, or that one no such turn."""

    code = "agent.not_found"
