"""What the fork server loads for all: modules of at least two services, none of which opens or starts anything."""

import gc
from importlib import import_module

from celery import current_app

MODULES = (
    "appliance.processes.reactor",
    "appliance.processes.worker",
    "celery.apps.beat",
    "celery.worker.worker",
    "django_celery_beat.schedulers",
    "httpx",
    "kombu.transport.redis",
    "uvloop",
)
"""Twisted and Daphne are not among them: loading them opens an event loop. Nor are the pages, which web alone has."""


def load() -> None:
    """Load them all. Without collections, which would leave holes that every service fills on its own."""
    gc.disable()
    for name in MODULES:
        import_module(name)
    current_app.loader.import_default_modules()
