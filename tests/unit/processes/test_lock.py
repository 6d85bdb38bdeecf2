"""One stack per home."""

import os
from pathlib import Path

import pytest

from appliance.lib.home import Home
from appliance.processes import lock
from appliance.processes.layout import lock_file


def test_a_second_instance_is_refused_with_the_process_that_runs(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    held = lock.take(home)
    with pytest.raises(lock.AlreadyRunning, match=f"{tmp_path} is running already, as process {os.getpid()}"):
        lock.take(home)
    assert lock.holder(home) == os.getpid()
    os.close(held)
    assert lock.holder(home) is None
    os.close(lock.take(home))


def test_another_home_is_another_lock(tmp_path: Path) -> None:
    first, second = Home.at(tmp_path / "a"), Home.at(tmp_path / "b")
    held = [lock.take(first), lock.take(second)]
    for handle in held:
        os.close(handle)


def test_a_lock_is_a_plain_file_that_nobody_put_there_as_a_link(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    (tmp_path / "victim").write_text("precious")
    lock_file(home).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        lock.take(home)
    assert (tmp_path / "victim").read_text() == "precious"
