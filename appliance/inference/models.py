"""Rows of models: what is served, what became of it, what it took, and which work it is for."""

from typing import ClassVar

from django.db import models

from appliance.inference.domain import EngineKind, InstanceState, Work


class ServedModel(models.Model):
    """A model that is to be served, and how. ``version`` is live; ``previous`` was before it, to go back to.

    ``keep_alive`` is seconds without use until it is unloaded, NULL: never. ``revision`` counts the changes (optimistic
    lock).
    """

    name = models.CharField(max_length=100, primary_key=True)
    version = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    previous = models.CharField(max_length=100, blank=True)
    engine = models.CharField(max_length=10, choices=[(e.value, e.value) for e in EngineKind])
    context = models.IntegerField()
    slots = models.SmallIntegerField(default=1)
    device = models.CharField(max_length=100, blank=True)
    options = models.JSONField(default=dict)
    keep_alive = models.FloatField(null=True)
    enabled = models.BooleanField(default=True)
    revision = models.IntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class ModelChange(models.Model):
    """One change of the state of a model that is, or is to be, loaded, with its reason."""

    model = models.CharField(max_length=100)
    version = models.CharField(max_length=100)
    generation = models.IntegerField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in InstanceState])
    reason = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["model", "-id"], name="inference_change_model")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"


class LearnedFootprint(models.Model):
    """What a version of a model took at work, on one engine in one profile (``key`` is their digest)."""

    key = models.CharField(max_length=64, primary_key=True)
    model = models.CharField(max_length=100)
    device_bytes = models.BigIntegerField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    load_seconds = models.FloatField(null=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.model


class WorkChain(models.Model):
    """The selection matrix: for one kind of work the names of models, the best first."""

    work = models.CharField(max_length=20, primary_key=True, choices=[(w.value, w.value) for w in Work])
    models_in_order = models.JSONField(default=list)
    revision = models.IntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.work


class ModelUse(models.Model):
    """What a token used of the models on a day (UTC). ``told_…`` is what of it is on the audit record already."""

    token = models.CharField(max_length=300)
    day = models.DateField()
    requests = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    generated_tokens = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    told_at = models.DateTimeField()
    told_requests = models.BigIntegerField(db_default=0)
    told_prompt_tokens = models.BigIntegerField(db_default=0)
    told_generated_tokens = models.BigIntegerField(db_default=0)
    told_refused = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "inference_use"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["token", "day"], name="inference_use_day")
        ]

    def __str__(self) -> str:
        return f"{self.token} on {self.day}"


class Quota(models.Model):
    """How much a token (``token:ana/bot``), or whoever has a role (``role:operator``), may use in a day.

    NULL: no limit of that kind.
    """

    subject = models.CharField(max_length=300, primary_key=True)
    requests = models.BigIntegerField(null=True)
    tokens = models.BigIntegerField(null=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    class Meta:
        db_table = "inference_quota"

    def __str__(self) -> str:
        return self.subject


class Vector(models.Model):
    """The vector of a text: ``encoder`` and ``text`` are SHA-256 digests, ``values`` float16, little end first."""

    encoder = models.CharField(max_length=64)
    text = models.CharField(max_length=64)
    values = models.BinaryField()
    at = models.DateTimeField()

    class Meta:
        db_table = "inference_vector"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["encoder", "text"], name="inference_vector_identity")
        ]

    def __str__(self) -> str:
        return f"{self.encoder[:12]} {self.text[:12]}"
