"""The ASGI application: pages over HTTP, hints over WebSocket; for programs models below ``/v1``, tools at ``/mcp``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webadmin.settings")
http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402 - Django must be set up first
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from webadmin.mcp.door import PREFIX as MCP  # noqa: E402
from webadmin.mcp.door import Door  # noqa: E402
from webadmin.mcp.wiring import application as tools  # noqa: E402
from webadmin.models_api import PREFIX as MODELS  # noqa: E402
from webadmin.models_api import ByPath, gateway  # noqa: E402
from webadmin.origin import OwnPagesOnly  # noqa: E402
from webadmin.proxies import TrustedProxies  # noqa: E402
from webadmin.routing import GATEWAY, websocket_urlpatterns  # noqa: E402

sockets = OwnPagesOnly(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), {f"/{GATEWAY}"})

programs = {MODELS: gateway(settings.CONFIG), MCP: Door(tools)}

application = TrustedProxies(
    ProtocolTypeRouter({"http": ByPath(programs, http), "websocket": sockets}),
    settings.CONFIG.trusted_proxies,
)
