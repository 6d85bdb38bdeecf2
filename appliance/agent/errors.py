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


class ProposalRefused(MillwrightError):
    """A task that an agent cannot propose, in words from which it can mend it."""

    code = "agent.proposal_refused"


class ProposalUnknown(MillwrightError):
    code = "agent.proposal.not_found"


class ProposalMoved(MillwrightError):
    """It was decided already, or its task is not what it was made from any more."""

    code = "agent.proposal_moved"


class KnowledgeUnknown(MillwrightError):
    """A runbook, or a section of one, that is not there."""

    code = "agent.knowledge_unknown"


class McpRefused(MillwrightError):
    """What another program wants of this box, or this box of a server of tools, that is not to be had."""

    code = "mcp.refused"


class McpAway(MillwrightError):
    """A server of tools cannot be reached now; the same call may work later."""

    code = "mcp.away"
    permanent = False


class McpUnclear(MillwrightError):
    """A call was sent to a server of tools, and no whole answer came: it may have been done."""

    code = "mcp.unclear"
