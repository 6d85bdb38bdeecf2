"""Vocabulary of the inbox and of the box's own chats."""

from enum import StrEnum

FEED = "feed"
"""The webchat conversation that everybody sees: notifications."""


class InboundState(StrEnum):
    RECEIVED = "received"
    DONE = "done"
    IGNORED = "ignored"
    FAILED = "failed"


def own_conversation(username: str) -> str:
    """The webchat conversation between the box and one person."""
    return f"user:{username}"
