"""The Django project and composition root."""

from webadmin.celery import app as celery_app

__all__ = ["celery_app"]
