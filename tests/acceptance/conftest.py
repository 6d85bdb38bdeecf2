"""One box for all tests of a module, and a stand-in of Telegram beside it."""

from collections.abc import Iterator

import pytest

from appliance.lib.config import read_config
from appliance.processes.bench.box import Box
from tests.acceptance.box import ADMIN_PASSWORD, HOOK_TOKEN, TASKS, House
from tests.standins.telegram import TOKEN, TelegramStandin
from tests.wait import wait_for


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramStandin]:
    with TelegramStandin() as running:
        yield running


@pytest.fixture(scope="module")
def house(telegram: TelegramStandin) -> Iterator[House]:
    box = Box()
    password = box.home.parent / "admin.password"
    password.write_text(ADMIN_PASSWORD)
    box.environment |= {
        "MILLWRIGHT_ADMIN_PASSWORD_FILE": str(password),
        "MILLWRIGHT_TELEGRAM_API": telegram.root,
        "MILLWRIGHT_MODELS": "refused",
        "BOT_TOKEN": TOKEN,
        "APP_ID": "cli_test",
        "APP_SECRET": "test",
    }
    box.config = read_config(box.environment)
    with box:
        made = House(box)
        made.put_secret("crash", HOOK_TOKEN)
        made.load(TASKS, "acceptance")
        wait_for(lambda: made.runs_of("clockwork"), 30, "the first tick")
        yield made


@pytest.fixture
def evidence(house: House, request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test failed, the ends of the logs say why."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for log in sorted(house.box.home.glob("logs/*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}")
