"""Which image a name stands for."""

from typing import ClassVar

from django.db import models


class ImagePin(models.Model):
    """An administrator's word that a name means just this image, until another is pinned."""

    name = models.CharField(max_length=200, primary_key=True)
    digest = models.CharField(max_length=300)
    pinned_at = models.DateTimeField()
    pinned_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return f"{self.name} = {self.digest}"


class Finding(models.Model):
    """A step did what its author had not declared: the run is amber."""

    run_id = models.UUIDField()
    task_id = models.BigIntegerField()
    version_id = models.BigIntegerField()
    step = models.CharField(max_length=200)
    attempt = models.PositiveIntegerField()
    words = models.JSONField()
    at = models.DateTimeField()
    handled = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run_id", "step", "attempt"], name="sandbox_finding_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(handled=False), name="sandbox_finding_unhandled"),
            models.Index(fields=["at"], name="sandbox_finding_at"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step}: {'; '.join(self.words)}"
