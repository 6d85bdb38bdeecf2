"""Events of conversations with the agent, which only those who take part are told of."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.events.event import Event


@dataclass(frozen=True, slots=True)
class ConversationEvent(Event):
    """What happens in a conversation with the agent. ``people``: who takes part in it; nobody else is told."""

    conversation_id: int
    people: list[str]
    run_id: str = ""
    """The run that the person's message has started."""

    @property
    def subject(self) -> str:
        return f"conversation/{self.conversation_id}"


@dataclass(frozen=True, slots=True)
class ConversationSaid(ConversationEvent):
    """``speaker``: ``person``, ``agent``, or ``box`` for what the box itself says. Of a long ``text`` the beginning."""

    type: ClassVar[str] = "conversation.said"
    message_id: int = 0
    speaker: str = ""
    author: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class TurnBegan(ConversationEvent):
    """A model is asked what to do next. One that is asked again after a crash begins again."""

    type: ClassVar[str] = "agent.turn_began"
    turn: int = 0


@dataclass(frozen=True, slots=True)
class TurnEnded(ConversationEvent):
    """``done``: it was the last one of its run."""

    type: ClassVar[str] = "agent.turn_ended"
    turn: int = 0
    say: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class CallProposed(ConversationEvent):
    """The model wants a tool called. ``step`` is that of the run of the step ``agent``."""

    type: ClassVar[str] = "agent.call_proposed"
    turn: int = 0
    step: str = ""
    tool: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class CallEnded(ConversationEvent):
    """``fate``: ``done``, ``handed_over``, ``failed``, ``denied``, ``refused``, ``held_back``, ``noted``.

    Told when the next turn begins: calls are steps like any other, which know nothing of conversations.
    """

    type: ClassVar[str] = "agent.call_ended"
    turn: int = 0
    step: str = ""
    tool: str = ""
    fate: str = ""
