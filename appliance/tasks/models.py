"""Rows of tasks: immutable versions, triggers with their clock, and what they fired."""

from enum import StrEnum

from django.db import models


class Task(models.Model):
    """A named definition. What it says is in its versions; what it does is in runs."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    held = models.BooleanField(
        default=False,
        db_default=False,
        help_text="nobody starts it, by whatever way, until a person switches it on again",
    )
    current = models.ForeignKey(
        "TaskVersion", null=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    source = models.CharField(max_length=500, blank=True, help_text="file it was loaded from")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TaskVersion(models.Model):
    """One immutable text of a task and its canonical form; a run pins one of these."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    text = models.TextField()
    definition = models.JSONField()
    created_by = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="tasks_version_number"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} v{self.number}"


class TaskTrigger(models.Model):
    """The clock and counters of one trigger of the task's current version.

    ``last_due`` is the last due time that has an occurrence row (time triggers only): the door computes
    from it what is due now, so that beat's firing is only a hint.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="triggers")
    trigger = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)
    spec = models.JSONField()
    active = models.BooleanField(default=True)
    last_due = models.DateTimeField(null=True)
    next_due = models.DateTimeField(null=True)
    fired = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    last_fired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["task", "trigger"]
        constraints = [models.UniqueConstraint(fields=["task", "trigger"], name="tasks_trigger_identity")]
        indexes = [
            models.Index(
                fields=["next_due"], name="tasks_trigger_due", condition=models.Q(next_due__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.trigger}"


class NotTriggered(models.Model):
    """One of the last events that a trigger looked at and left alone, with the reason."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="not_triggered")
    trigger = models.CharField(max_length=64)
    at = models.DateTimeField()
    reason = models.TextField()
    event = models.JSONField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["task", "trigger", "-id"], name="tasks_nottriggered_last")]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.trigger} {self.reason}"


class Hold(models.Model):
    """A trigger that looks on before it fires: ``for`` since its condition holds, ``debounce`` since the last event.

    One row for each set of the topic's captures (``key``). ``due_at`` is wall time of the database's clock. A
    ``for`` that has ``fired`` stays until its condition says no, so that it fires once.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="holds", db_constraint=False)
    trigger = models.CharField(max_length=64)
    key = models.CharField(max_length=200)
    debounce = models.BooleanField()
    since = models.DateTimeField()
    due_at = models.DateTimeField()
    length = models.DurationField()
    events = models.BigIntegerField()
    inputs = models.JSONField()
    reason = models.CharField(max_length=500)
    fired = models.BooleanField(default=False)
    touched_at = models.DateTimeField()

    class Meta:
        ordering = ["due_at"]
        constraints = [models.UniqueConstraint(fields=["task", "trigger", "key"], name="tasks_hold_identity")]
        indexes = [
            models.Index(fields=["due_at"], name="tasks_hold_due", condition=models.Q(fired=False)),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.trigger} {self.key} until {self.due_at:%F %T}"


class WebhookSeen(models.Model):
    """A delivery that was taken already; kept for two days, longer than any sender repeats."""

    digest = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.digest[:12]} {self.at}"


class OccurrenceState(StrEnum):
    FIRED = "fired"
    MISSED = "missed"
    SKIPPED = "skipped"
    """The task says so: a run with the same key was not finished."""
    SUPPRESSED = "suppressed"
    """Beyond a bound: the limit of the task, or its queue is full."""


class QuestionState(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"


class Question(models.Model):
    """``misfire: ask``: what is to become of the missed times of one trigger. Open until answered, or expired."""

    code = models.CharField(max_length=8, unique=True)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="questions")
    trigger = models.CharField(max_length=64)
    dues = models.JSONField()
    missed = models.PositiveIntegerField()
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(
        max_length=10, default=QuestionState.OPEN.value, choices=[(s.value, s.value) for s in QuestionState]
    )
    answer = models.CharField(max_length=10, blank=True)
    answered_by = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True)
    answer_key = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "trigger"], name="tasks_question_open", condition=models.Q(state="open")
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.task_id}/{self.trigger} {self.state}"


class Occurrence(models.Model):
    """One firing, or missed or suppressed firing, of a trigger.

    The identifier of a time trigger's occurrence is computed from task, trigger and due time
    (``appliance.lib.identity.uuid_at``), which makes the primary key the promise "exactly one".
    """

    id = models.UUIDField(primary_key=True)
    task_id = models.BigIntegerField()
    trigger = models.CharField(max_length=64)
    due_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in OccurrenceState])
    reason = models.CharField(max_length=500, blank=True)
    event = models.JSONField(default=dict)
    run_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        managed = False
        ordering = ["-id"]
        db_table = "tasks_occurrence"

    def __str__(self) -> str:
        return f"{self.task_id}/{self.trigger} {self.due_at:%F %T} {self.state}"
