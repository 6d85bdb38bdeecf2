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
