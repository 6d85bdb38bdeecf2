"""What a person does at the door of the web admin, as a browser sends it."""

import re

from django.test import Client

from appliance.audit.models import AuditRecord
from tests.authenticator import code

PASSWORD = "hammer-and-anvil-7"
SECRET = re.compile(r'<code class="password">([A-Z2-7]{32})</code>')
CODES = re.compile(r"<code>(\d{8})</code>")


def password(client: Client, name: str, text: str = PASSWORD) -> str:
    """Where the first step leads, or an empty text for nowhere."""
    answer = client.post("/login/", {"username": name, "password": text})
    return answer.headers.get("Location", "")


def second(client: Client, digits: str) -> str:
    answer = client.post("/login/code/", {"code": digits})
    return answer.headers.get("Location", "")


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def switch_on(client: Client) -> tuple[str, list[str]]:
    """As a person does it: the secret of the app, and the recovery codes."""
    found = SECRET.search(client.get("/account/two-step/on/").content.decode())
    assert found
    answer = client.post("/account/two-step/on/", {"code": code(found[1])})
    assert answer["Location"] == "/account/recovery-codes/"
    return found[1], CODES.findall(client.get("/account/recovery-codes/").content.decode())


def kinds(name: str) -> list[str]:
    return list(
        AuditRecord.objects.filter(subject=f"user:{name}").order_by("seq").values_list("kind", flat=True)
    )
