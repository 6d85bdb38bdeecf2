"""The real web process (Daphne), on the tests' own engines and database."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.db import connection

from appliance.lib.config import ROOT, Config
from tests.wait import wait_for


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port


@contextmanager
def web_process(config: Config, folder: Path, **settings: str) -> Iterator[str]:
    """Its host and port, once it answers. ``settings`` are MILLWRIGHT_…"""
    place = settings.get("MILLWRIGHT_LISTEN") or f"127.0.0.1:{free_port()}"
    known = connection.settings_dict
    database = config.database_url.replace("/millwright?", f"/{known['NAME']}?")
    environment = {
        **os.environ,
        "MILLWRIGHT_HOME": str(config.home.path),
        "DATABASE_URL": database,
        "REDIS_URL": config.redis_url,
        "MQTT_URL": config.mqtt_url,
        "MILLWRIGHT_LISTEN": place,
        "DJANGO_SETTINGS_MODULE": "webadmin.settings",
        **settings,
    }
    with (folder / "web.log").open("wb") as log:
        command = [sys.executable, str(ROOT / "manage.py"), "web"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: _answers(place), 60, "the web process answers")
            yield place
        finally:
            process.terminate()
            process.wait(30)


def _answers(place: str) -> bool:
    try:
        return httpx.get(f"http://{place}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
