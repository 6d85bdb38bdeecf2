"""Rows of the agent: sentences that people have confirmed."""

from typing import ClassVar

from django.db import models


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
