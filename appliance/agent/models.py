"""Rows of the agent: sentences that people have confirmed; those of conversations stand with them."""

from typing import ClassVar

from django.db import models

from appliance.agent.conversations.models import AgentConversation, AgentMessage, AgentNote

__all__ = ["AgentConversation", "AgentExample", "AgentMessage", "AgentNote"]


class AgentExample(models.Model):
    """A sentence, in its normalised form, and what a person said that it means. One for each person and sentence."""

    text = models.CharField(max_length=300)
    language = models.CharField(max_length=10)
    intent = models.CharField(max_length=60)
    slots = models.JSONField(default=dict)
    by = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        db_table = "agent_example"
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["by", "text"], name="agent_example_identity")
        ]

    def __str__(self) -> str:
        return f"{self.text} -> {self.intent}"
