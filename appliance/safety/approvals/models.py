"""The rows of approvals. Written by the named SQL beside this file, read by screens."""

from typing import ClassVar

from django.db import models


class Approval(models.Model):
    """One asking for permission. ``token_digest`` is the digest of what the buttons carry.

    ``requester`` is the person behind ``requested_by``, who may not decide, and ``issuer`` whoever made the token that
    asked ("?": nobody knows). ``shown`` is the exact text that approvers see. ``secret_*`` belong to the one-time code
    with which it can be given by telephone, and ``minted_by`` is the principal that made the last of these.
    """

    id = models.UUIDField(primary_key=True)
    code = models.CharField(max_length=8, unique=True)
    token_digest = models.CharField(max_length=64, unique=True)
    purpose = models.CharField(max_length=10)
    run_id = models.UUIDField(db_index=True)
    step = models.CharField(max_length=100)
    attempt = models.SmallIntegerField()
    task = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    policy = models.CharField(max_length=100, blank=True)
    rule = models.CharField(max_length=200, blank=True)
    states = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200)
    requester = models.CharField(max_length=200)
    issuer = models.CharField(max_length=200, blank=True, default="")
    approvers = models.CharField(max_length=10)
    names = models.JSONField(default=list)
    needed = models.SmallIntegerField(default=1)
    given = models.SmallIntegerField(default=0)
    self_approval = models.BooleanField(default=False)
    state = models.CharField(max_length=10)
    reason = models.CharField(max_length=1000, blank=True)
    shown = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True)
    way = models.CharField(max_length=8, blank=True)
    decision_reason = models.CharField(max_length=500, blank=True)
    closed_at = models.DateTimeField(null=True)
    closed_because = models.CharField(max_length=500, blank=True)
    secret_digest = models.CharField(max_length=200, blank=True)
    secret_by = models.CharField(max_length=200, blank=True)
    secret_until = models.DateTimeField(null=True)
    secret_tries = models.SmallIntegerField(default=0)
    minted_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "safety_approval"
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["run_id", "step", "attempt"],
                condition=models.Q(state__in=["open", "approved"]),
                name="safety_approval_one_alive",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["expires_at"], condition=models.Q(state="open"), name="safety_approval_open")
        ]

    def __str__(self) -> str:
        return f"{self.task}/{self.step} ({self.state})"


class ApprovalDecision(models.Model):
    """What one person said about one approval. ``key`` names the chat message that said it."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="decisions")
    person = models.CharField(max_length=200)
    choice = models.CharField(max_length=8)
    way = models.CharField(max_length=8)
    reason = models.CharField(max_length=500, blank=True)
    key = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "safety_approvaldecision"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["approval", "person"], name="safety_approvaldecision_once")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.choice}"
