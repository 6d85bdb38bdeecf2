"""WebSocket routes."""

from typing import Any

from django.urls import path

from webadmin.consumers.gateway import GatewayConsumer
from webadmin.consumers.live import LiveConsumer

GATEWAY = "ws/gateway"

websocket_urlpatterns: list[Any] = [
    path("ws/live", LiveConsumer.as_asgi()),
    path(GATEWAY, GatewayConsumer.as_asgi()),
]
