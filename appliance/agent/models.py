"""Rows of the agent: sentences that people have confirmed, what agents below others spend, and what they propose.

Those of conversations stand with them.
"""

from enum import StrEnum
from typing import ClassVar

from django.db import models

from appliance.agent.conversations.models import AgentConversation, AgentDenial, AgentMessage, AgentNote

__all__ = ["AgentConversation", "AgentDenial", "AgentExample", "AgentMessage", "AgentNote"]


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


class AgentSpent(models.Model):
    """What one agent has spent, for one of those that led to it."""

    pk = models.CompositePrimaryKey("above", "run_id")
    above = models.UUIDField()
    run_id = models.UUIDField()
    steps = models.IntegerField()
    tokens = models.IntegerField()
    seconds = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        db_table = "agent_spent"
        ordering: ClassVar[list[str]] = ["above", "run_id"]

    def __str__(self) -> str:
        return f"{self.run_id} under {self.above}: {self.tokens} tokens"


class ProposalState(StrEnum):
    OPEN = "open"
    TAKEN = "taken"
    REJECTED = "rejected"
    REPLACED = "replaced"
    """The same agent's run has proposed something newer for the same task."""
    EXPIRED = "expired"
    """Nobody has decided in time."""


class AgentProposal(models.Model):
    """A task that an agent proposes: the text beside the version it was made from (0: there was none)."""

    id = models.UUIDField(primary_key=True)
    task = models.CharField(max_length=100)
    text = models.TextField()
    digest = models.CharField(max_length=64)
    base = models.PositiveIntegerField()
    ceiling = models.CharField(max_length=10)
    why = models.CharField(max_length=500, blank=True)
    run_id = models.UUIDField()
    step = models.CharField(max_length=100)
    by_task = models.CharField(max_length=100)
    principal = models.TextField()
    created_at = models.DateTimeField()
    state = models.CharField(
        max_length=10, default=ProposalState.OPEN.value, choices=[(s.value, s.value) for s in ProposalState]
    )
    decided_by = models.TextField(blank=True, default="")
    decided_at = models.DateTimeField(null=True)
    decided_why = models.CharField(max_length=500, blank=True, default="")
    version = models.PositiveIntegerField(null=True)
    """Of the task, that it became."""

    class Meta:
        db_table = "agent_proposal"
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["state", "-id"], name="agent_proposal_state"),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.state}"


class McpServer(models.Model):
    """A server of tools that an admin added: at an address, or a command that is run confined."""

    name = models.CharField(max_length=32, primary_key=True)
    url = models.CharField(max_length=500, blank=True)
    command = models.JSONField(default=list)
    secret = models.CharField(max_length=120, blank=True)
    env = models.CharField(max_length=60, blank=True)
    private = models.BooleanField(default=False)
    reads = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    looked_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200)

    class Meta:
        db_table = "agent_mcpserver"
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class McpTool(models.Model):
    """One tool of such a server, as it was seen last; ``allowed_digest`` is of what an admin has allowed."""

    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, related_name="tools")
    name = models.CharField(max_length=100)
    says = models.TextField(blank=True)
    schema = models.JSONField(default=dict)
    hints = models.JSONField(default=dict)
    digest = models.CharField(max_length=64)
    unusable = models.CharField(max_length=200, blank=True)
    gone = models.BooleanField(default=False)
    seen_at = models.DateTimeField()
    risk = models.CharField(max_length=10, blank=True)
    allowed_digest = models.CharField(max_length=64, blank=True)
    allowed_by = models.CharField(max_length=200, blank=True)
    allowed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "agent_mcptool"
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["server", "name"], name="agent_mcptool_identity")
        ]

    def __str__(self) -> str:
        return f"{self.server_id}.{self.name}"
