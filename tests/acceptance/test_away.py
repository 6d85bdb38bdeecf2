"""Half a minute without PostgreSQL, Redis or the MQTT broker: nothing is lost, and it goes on by itself."""

import threading
import time

import httpx
import pytest

from tests.acceptance.absence import Watch, away
from tests.acceptance.box import House, steady, twice_committed
from tests.acceptance.checks import RATE, all_done, check_clock, check_repeats, missing
from tests.wait import wait_for

AWAY_SECONDS = 30.0
BEFORE, AFTER = 4.0, 6.0
NAMES = {"postgres": "postgres", "redis": "redis", "nats": "broker"}
"""What ``/readyz`` calls each engine."""
PROMPT = 5.0
"""Seconds within which ``/readyz`` answers, whatever is away."""
NOTICED = 8.0
"""Seconds after which it has to know."""
HEAVIER = 48.0
"""MiB that a service may grow while something is away."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("evidence")]


@pytest.mark.parametrize(
    ("part", "how", "first"),
    [
        ("postgres", "stopped", 1_000_000),
        ("postgres", "frozen", 1_100_000),
        ("redis", "stopped", 1_200_000),
        ("redis", "frozen", 1_300_000),
        ("nats", "stopped", 1_400_000),
        ("nats", "frozen", 1_500_000),
    ],
)
def test_a_part_may_be_away_for_half_a_minute(house: House, part: str, how: str, first: int) -> None:
    """20 events a second and webhook calls beside them, before, during and after."""
    hooks: set[int] = set()
    late: list[float] = []
    stop = threading.Event()

    def call_hooks() -> None:
        seq = first + 50_000
        while not stop.wait(0.5):
            seq += 1
            began = time.monotonic()
            if house.call_hook(seq):
                hooks.add(seq)
                late.append(time.monotonic() - began)

    caller = threading.Thread(target=call_hooks)
    with house.admin() as browser, house.device() as device, Watch(house.box) as watch:
        caller.start()
        sender = threading.Thread(
            target=steady, args=(device.send, RATE, BEFORE + AWAY_SECONDS + AFTER, first)
        )
        sender.start()
        wait_for(lambda: len(device.acknowledged) >= BEFORE * RATE, 20, "the events come in")
        with away(house.box, part, how):
            gone = time.monotonic()
            hooked = len(hooks)
            pages = [look_at_pages(browser) for _ in range(2)]
            wait_for(lambda: time.monotonic() >= gone + AWAY_SECONDS, AWAY_SECONDS + 5, "half a minute")
            back, taken = time.monotonic(), len(hooks) - hooked
        sender.join(60)
        house.wait_ready(60)
        ready_after = time.monotonic() - back
        hooked = len(hooks)
        wait_for(lambda: len(hooks) > hooked, 30, "webhooks are taken again")
        stop.set()
        caller.join(15)
        wait_for(lambda: len(device.acknowledged) >= RATE * (BEFORE + AWAY_SECONDS + AFTER) * 0.95, 60)
        wanted = set(device.acknowledged) | hooks
        try:
            wait_for(lambda: all_done(house, wanted), 90)
        except AssertionError as error:
            raise AssertionError(f"lost: {missing(house, wanted)}") from error
        heard, doubtful = list(device.heard), set(device.doubtful)
    during = [look for look in watch.looks if gone + NOTICED < look.at < back - PROMPT]
    repeats = check_repeats(house, first, doubtful)
    grown = watch.grown()
    slowest = max(look.seconds for look in watch.looks)
    print(
        f"{part} {how}: {len(wanted)} acknowledged, 0 lost, {repeats} taken twice; "
        f"ready {ready_after:.1f} s after; readyz at most {slowest:.1f} s; "
        f"{taken} webhooks taken meanwhile, at most {max(late):.1f} s; pages {pages}; "
        f"grown by MiB {', '.join(f'{name} {mib:.0f}' for name, mib in grown.items())}"
    )
    assert twice_committed([one for one in heard if one[1] >= first]) == []
    check_clock(house)
    assert during
    blamed = [{name for name in NAMES.values() if look.blames(name)} for look in during]
    assert all(names == {NAMES[part]} for names in blamed), blamed
    assert all(look.status == 503 for look in during)
    assert slowest < PROMPT
    assert max(late) < PROMPT
    expected = 503 if part == "postgres" else 200
    assert all(
        (status, seconds < 2 * PROMPT) == (expected, True) for found in pages for status, seconds in found
    )
    # A webhook needs the database alone.
    assert part == "postgres" or taken > AWAY_SECONDS
    assert all(mib < HEAVIER for mib in grown.values()), grown


def look_at_pages(browser: httpx.Client) -> list[tuple[int, float]]:
    """Status and seconds of what a person looks at; status 0 where no answer came."""
    found = []
    for path in ("/", "/runs/", "/tasks/"):
        began = time.monotonic()
        try:
            status = browser.get(path).status_code
        except httpx.HTTPError:
            status = 0
        found.append((status, round(time.monotonic() - began, 1)))
    return found
