"""The kernel's rules, loaded for a home of the test's own."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.ebpf import cgroups, mounts
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.ebpf.rules import KernelRules
from tests.guard import RunningGuard, no_engine, start_guard
from tests.kernel_rules import clear, need_rules
from tests.spawner import RunningSpawner, start_spawner


@pytest.fixture(autouse=True)
def _possible() -> None:
    need_rules()


@pytest.fixture
def home_id() -> Iterator[str]:
    """The id of a home; what is pinned and made for it goes at the end."""
    name = f"test{secrets.token_hex(4)}"
    yield name
    clear(name)


@pytest.fixture
def rules(home_id: str) -> Iterator[KernelRules]:
    loaded = KernelRules(home_id, time.monotonic)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def guard(open_folder: Path) -> Iterator[RunningGuard]:
    need_rules()
    running = start_guard(open_folder, no_engine(open_folder))
    yield running
    running.stop()
    clear(running.home.id)


@pytest.fixture(scope="module")
def spawner(open_folder: Path, guard: RunningGuard) -> Iterator[RunningSpawner]:
    tree = cgroups.tree_of(mounts.cgroup2(), guard.home.id)
    running = start_spawner(open_folder / "spawner", cgroups=tree)
    yield running
    running.stop()


@pytest.fixture
def watched(guard: RunningGuard, spawner: RunningSpawner) -> WatchedSandbox:
    return WatchedSandbox(guard.home.guard_socket, spawner.sandbox, Manner())
