"""``manage.py web``: pages, API and WebSockets."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import get_resolver
from django.utils.module_loading import import_string

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Serve the web admin (Daphne)."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.processes import go_ahead
        from appliance.processes.http_server import bounded_server
        from appliance.processes.masks import mask_in_background

        config = get_config()
        application = import_string(settings.ASGI_APPLICATION)
        get_resolver().url_patterns  # noqa: B018 - every page is loaded now, not with the first request
        go_ahead.wait()
        mask_in_background()
        bounded_server(
            application=application,
            endpoints=[config.http_endpoint],
            signal_handlers=True,
            http_timeout=60,
            websocket_timeout=86400,
            server_name="millwright",
            application_close_timeout=5,
        ).run()
