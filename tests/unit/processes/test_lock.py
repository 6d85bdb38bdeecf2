"""One stack per home."""

import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from appliance.lib.config import get_config
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
    assert [lock.holder(home) for home in (first, second)] == [os.getpid()] * 2
    for handle in held:
        os.close(handle)


def test_a_lock_is_a_plain_file_that_nobody_put_there_as_a_link(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    (tmp_path / "victim").write_text("precious")
    lock_file(home).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        lock.take(home)
    assert (tmp_path / "victim").read_text() == "precious"


def test_two_workers_of_a_box_have_a_place_each(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    held = [lock.take_place(home, 0), lock.take_place(home, 1)]
    with pytest.raises(lock.PlaceTaken, match=f"has place 0: process {os.getpid()} .*--number 1"):
        lock.take_place(home, 0)
    for handle in held:
        os.close(handle)
    os.close(lock.take_place(home, 0))


@pytest.mark.parametrize("place", ["-1", "64", "one", "1.5", ""])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(CommandError, match="a whole number from 0 to 63"):
        call_command("worker", "--number", place)


def test_a_worker_does_not_start_in_a_place_that_is_taken() -> None:
    held = lock.take_place(get_config().home, 7)
    with pytest.raises(CommandError, match="another worker of this box has place 7"):
        call_command("worker", "--number", "7")
    os.close(held)
