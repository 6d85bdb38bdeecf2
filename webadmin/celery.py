"""The Celery application: it carries hints ("look at what is due"), never truth."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webadmin.settings")

app = Celery("millwright")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["appliance.tasks", "appliance.ops", "appliance.processes"], related_name="jobs")
