"""Rows of models: what is served, what became of it, what it took, and which work it is for."""

from typing import ClassVar

from django.db import models

from appliance.inference.domain import CandidateState, EngineKind, InstanceState, Work


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


class Candidate(models.Model):
    """A version, or a way to serve one, that goes live once its tests have passed; until then what is live stays.

    ``profile`` is the key of how it is to run (acceptance.domain.profile_key). ``over`` is the revision of what was
    live when somebody asked for it (0: nothing): over another one it does not go live. ``revision`` counts its own
    changes.
    """

    name = models.CharField(max_length=100, primary_key=True)
    version = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    profile = models.CharField(max_length=64)
    engine = models.CharField(max_length=10, choices=[(e.value, e.value) for e in EngineKind])
    context = models.IntegerField()
    slots = models.SmallIntegerField(default=1)
    device = models.CharField(max_length=100, blank=True)
    options = models.JSONField(default=dict)
    keep_alive = models.FloatField(null=True)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in CandidateState])
    reason = models.CharField(max_length=1000, blank=True)
    over = models.IntegerField()
    revision = models.IntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Acceptance(models.Model):
    """One try of the tests of a version in one way to run it. ``passed`` is NULL while it is under way.

    ``way`` is how it ran: engine, context, slots, device, options. ``golden`` is the digest of the user's own sets that
    it was measured by. ``results``: what each test found (acceptance.domain.Result), as far as it came.
    """

    model = models.CharField(max_length=100)
    version = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    profile = models.CharField(max_length=64)
    way = models.JSONField(default=dict)
    golden = models.CharField(max_length=64, blank=True)
    results = models.JSONField(default=list)
    passed = models.BooleanField(null=True)
    reason = models.CharField(max_length=1000, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    asked_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["model", "digest", "-id"], name="inference_acceptance_of")
        ]

    def __str__(self) -> str:
        return f"{self.model}@{self.version}: {self.passed}"


class ModelChange(models.Model):
    """One change of the state of a model that is, or is to be, loaded, with its reason. ``model`` is its name, or
    ``name@version`` of one that is being tested."""

    model = models.CharField(max_length=201)
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
