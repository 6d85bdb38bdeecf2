"""The durable tier of the cache."""

from django.db import models


class CacheEntry(models.Model):
    """The last value under a ``cache_key``; ``version`` counts its writes (optimistic locking)."""

    key = models.CharField(max_length=200, primary_key=True)
    value = models.JSONField(null=True)
    version = models.BigIntegerField(default=1)
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key
