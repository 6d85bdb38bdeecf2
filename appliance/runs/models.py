"""Rows of runs. Both tables are partitioned by day: by the run's identifier, which carries its time."""

from django.db import models

from appliance.runs.domain import RunState, StepState, Waiting


class WholeRuns(models.Manager["Run"]):
    """Runs that are not shards of another one's step: what lists and counters show."""

    def get_queryset(self) -> models.QuerySet["Run"]:
        return super().get_queryset().filter(split_id__isnull=True)


class Run(models.Model):
    """One execution of one task version."""

    id = models.UUIDField(primary_key=True)
    task_id = models.BigIntegerField()
    version_id = models.BigIntegerField()
    occurrence_id = models.UUIDField(null=True)
    parent_run_id = models.UUIDField(null=True)
    forked_from = models.UUIDField(null=True)
    forked_at_step = models.CharField(max_length=100, blank=True)
    lane = models.CharField(max_length=8, default="worker")
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in RunState])
    waiting_for = models.CharField(max_length=12, blank=True, choices=[(w.value, w.value) for w in Waiting])
    reason = models.CharField(max_length=1000, blank=True)
    warning = models.CharField(max_length=1000, blank=True)
    principal = models.TextField()
    origin = models.CharField(max_length=16)
    trigger = models.CharField(max_length=64, blank=True)
    priority = models.SmallIntegerField(default=0)
    inputs = models.JSONField(default=dict)
    wake_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    undo_requested = models.BooleanField(default=False)
    undo_by = models.TextField(blank=True, default="")
    version = models.IntegerField(default=0)
    epoch = models.IntegerField(default=0)
    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    recoveries = models.SmallIntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    split_id = models.UUIDField(null=True)
    shard = models.IntegerField(null=True)

    objects = models.Manager()
    whole = WholeRuns()

    class Meta:
        managed = False
        db_table = "runs_run"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class Step(models.Model):
    """One attempt of one step of a run: its intent, and what came of it."""

    pk = models.CompositePrimaryKey("run_id", "step", "attempt")
    run_id = models.UUIDField()
    step = models.CharField(max_length=100)
    attempt = models.SmallIntegerField()
    position = models.SmallIntegerField()
    phase = models.CharField(max_length=10, default="actions")
    kind = models.CharField(max_length=20)
    effect = models.CharField(max_length=12)
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in StepState])
    epoch = models.IntegerField()
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    detail = models.JSONField(null=True)
    stderr = models.TextField(blank=True)
    error = models.CharField(max_length=2000, blank=True)
    checkpoint = models.JSONField(null=True)
    shard = models.IntegerField(null=True)
    shared_from = models.UUIDField(null=True)
    due_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "runs_step"
        ordering = ["run_id", "position", "attempt"]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step}#{self.attempt} {self.state}"


class Away(models.Model):
    """The place of an unfinished run before a target that is away; the order is that of the identifiers."""

    run_id = models.UUIDField(primary_key=True)
    target = models.TextField()
    behind = models.BooleanField()
    since = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "runs_away"
        ordering = ["run_id"]

    def __str__(self) -> str:
        return f"{self.run_id} before {self.target}"


class Turn(models.Model):
    """The place of an unfinished run among those of its task with the same ``overlap`` key; ``id`` is the order."""

    id = models.BigAutoField(primary_key=True)
    run_id = models.UUIDField(unique=True)
    task_id = models.BigIntegerField()
    key = models.CharField(max_length=200)
    holding = models.BooleanField()
    since = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "runs_turn"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.task_id}/{self.key} {self.run_id}"


class Rate(models.Model):
    """What the ``limit`` of a task left alone so far. The row's ``recent`` is the database's own affair."""

    task_id = models.BigIntegerField(primary_key=True)
    suppressed = models.BigIntegerField(default=0)
    suppressed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "runs_rate"

    def __str__(self) -> str:
        return f"{self.task_id} suppressed {self.suppressed}"


class Checkpoint(models.Model):
    """A kept state of a step: a file of a command, or the JSON of an action. Equal ones are kept once."""

    pk = models.CompositePrimaryKey("run_id", "step", "digest")
    run_id = models.UUIDField()
    step = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    number = models.IntegerField()
    attempt = models.SmallIntegerField()
    form = models.CharField(max_length=4)
    size = models.IntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "runs_checkpoint"
        ordering = ["run_id", "number"]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step} checkpoint {self.number}"


class Split(models.Model):
    """One step of a run that is done as shards: how far it is, and how it ended.

    ``taken`` of them were done by the run ``taken_from``; ``ahead`` of those lie behind the shards that had their turn.
    """

    id = models.UUIDField(primary_key=True)
    run_id = models.UUIDField()
    step = models.CharField(max_length=100)
    attempt = models.SmallIntegerField()
    join_policy = models.CharField(max_length=10)
    join_number = models.IntegerField()
    parallelism = models.IntegerField()
    expanded = models.IntegerField()
    total = models.IntegerField(null=True)
    admitted = models.IntegerField()
    succeeded = models.IntegerField()
    failed = models.IntegerField()
    cancelled = models.IntegerField()
    outcome = models.CharField(max_length=10, blank=True)
    reason = models.CharField(max_length=1000, blank=True)
    taken_from = models.UUIDField(null=True)
    taken = models.IntegerField(default=0)
    ahead = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "runs_split"
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step}#{self.attempt}"


class ClockReading(models.Model):
    """The one row: how far the database's clock is ahead of the seconds since boot, and since when that is watched."""

    boot = models.CharField(max_length=64)
    distance = models.FloatField()
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.distance:.1f} s in boot {self.boot}"
