"""The words of a policy file."""

from enum import StrEnum


class Answer(StrEnum):
    """What a rule decides; the later one here is the stricter."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """Compare answers by this, never by their text."""
        return _STRICTNESS[self]


_STRICTNESS = {answer: place for place, answer in enumerate(Answer)}


class Layer(StrEnum):
    """Who wrote a policy. Each layer has one in force; the strictest of their answers counts."""

    BOX = "box"
    SITE = "site"


class Origin(StrEnum):
    """What started a run. A person at a page and the command line are ``manual``, a token is ``api``; a program that
    calls a task as its tool is ``mcp``, and counts as ``api`` and ``manual`` besides."""

    CRON = "cron"
    EVERY = "every"
    AT = "at"
    MQTT = "mqtt"
    WEBHOOK = "webhook"
    EVENT = "event"
    TASK = "task"
    CHAT = "chat"
    MANUAL = "manual"
    API = "api"
    MCP = "mcp"
    AGENT = "agent"
    HUB = "hub"


class OwnAgent(StrEnum):
    """Whether who asked an agent may decide on what it proposes, where they might do the same themselves."""

    NEVER = "never"
    CHANGE = "change"
    """On what changes something, and not on what destroys."""
    DESTROY = "destroy"
    """On that too, where the agent had read nothing from outside."""

    def takes(self, risk: str, *, outside: bool) -> bool:
        """``risk`` is read, change or destroy."""
        if risk in ("read", "change"):
            return self is not OwnAgent.NEVER
        return self is OwnAgent.DESTROY and not outside


class Day(StrEnum):
    """In the order of ``datetime.weekday()``."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


INSIDE = frozenset(
    {
        *("set", "wait", "foreach", "parallel"),
        *("agent_turn", "agent_query", "agent_note", "agent_plan", "agent_answer", "agent_propose"),
    }
)
"""Kinds that reach nothing outside of their run: no policy is asked about them. Steps inside a ``foreach`` or
``parallel`` are asked about one by one; so are the calls of an ``agent``, about which itself the policy is asked."""

THINKING = {"llm": "llm", "agent_turn": "agent"}
"""Kinds that spend tokens of models, and under which kind of a task file budgets count them."""
