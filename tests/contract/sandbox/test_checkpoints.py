"""The state that a command keeps of itself: whole versions only, bounded, and given back."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from appliance.sandbox.ports import CheckpointFile, Job, Sandbox

EVERY = 0.25


@dataclass
class Kept:
    """What came of a job's checkpoint file."""

    versions: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def file(self, initial: bytes | None = None, limit: int = 1000) -> CheckpointFile:
        return CheckpointFile(initial, self.keep, self.notes.append, limit, EVERY)

    async def keep(self, content: bytes) -> None:
        self.versions.append(content)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def shell(kept: Kept) -> Callable[..., Job]:
    def make(script: str, *, initial: bytes | None = None, limit: int = 1000, timeout: float = 20.0) -> Job:
        return Job(
            ("/bin/sh", "-c", f'file="$MILLWRIGHT_CHECKPOINT"; {script}'),
            timeout=timeout,
            checkpoint=kept.file(initial, limit),
        )

    return make


async def test_what_lies_there_at_the_end_is_kept_whatever_the_exit_status(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    outcome = await sandbox.run(shell("printf 41 > $file; exit 3"))
    assert outcome.exit_status == 3
    assert (kept.versions, kept.notes) == ([b"41"], [])


async def test_an_earlier_one_is_given_back_and_not_kept_again(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    content = bytes(range(256)) * 2000
    outcome = await sandbox.run(shell("wc -c < $file", initial=content, limit=1 << 20))
    assert outcome.stdout.text.strip() == str(len(content))
    assert kept.versions == []
    outcome = await sandbox.run(shell("cat $file; printf b >> $file", initial=b"a"))
    assert outcome.stdout.text == "a"
    assert kept.versions == [b"ab"]


async def test_versions_are_kept_while_it_runs(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    script = "for n in 1 2 3; do printf $n > $file.new; mv $file.new $file; sleep 0.6; done"
    await sandbox.run(shell(script))
    assert kept.versions == [b"1", b"2", b"3"]


async def test_a_command_that_renames_a_new_one_all_the_time_is_kept_too(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    script = "n=0; while :; do n=$((n+1)); echo $n > $file.new; mv $file.new $file; sleep 0.01; done"
    await sandbox.run(shell(script, timeout=1.5))
    assert len(kept.versions) > 2
    numbers = [int(version) for version in kept.versions]
    assert numbers == sorted(set(numbers))
    assert kept.notes == []


async def test_a_file_that_is_being_written_is_left_alone_and_the_version_before_stays(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    script = "printf whole > $file; sleep 0.6; while :; do printf half 1<> $file; done"  # writes all the time
    outcome = await sandbox.run(shell(script, timeout=1.2, limit=1 << 20))
    assert outcome.signal is not None
    assert kept.versions == [b"whole"]
    assert ["being written" in note for note in kept.notes] == [True]


async def test_a_command_that_hears_its_time_limit_can_still_keep_its_state(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    outcome = await sandbox.run(
        shell("trap 'printf late > $file; exit 0' TERM; while :; do sleep 0.05; done", timeout=0.5)
    )
    assert outcome.timed_out
    assert kept.versions == [b"late"]


async def test_what_one_wrote_that_outlived_its_time_limit_by_far_is_kept(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    script = "trap 'printf late > $file.new; mv $file.new $file' TERM; while :; do sleep 0.05; done"
    outcome = await sandbox.run(shell(script, timeout=0.5))
    assert outcome.timed_out
    assert (kept.versions, kept.notes) == ([b"late"], [])


async def test_one_that_is_too_large_is_refused_and_the_version_before_stays(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    await sandbox.run(shell("printf 1 > $file; sleep 0.6; truncate -s 1000000000 $file; sleep 0.4"))
    assert kept.versions == [b"1"]
    assert ["more than 1000 bytes" in note and "1000000000" in note for note in kept.notes] == [True]


@pytest.mark.parametrize(
    "script",
    ["ln -s /etc/passwd $file", "mkdir $file", "mkfifo $file", "printf x > y; ln y $file"],
    ids=["link", "folder", "pipe", "second name"],
)
async def test_only_a_plain_file_is_one(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job], script: str
) -> None:
    outcome = await sandbox.run(shell(f"{script}; sleep 0.3"))
    assert outcome.exit_status == 0
    assert kept.versions == []
    assert len(kept.notes) == 1


async def test_nothing_or_an_empty_file_is_no_checkpoint(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    await sandbox.run(shell("true"))
    await sandbox.run(shell(": > $file; sleep 0.3"))
    assert (kept.versions, kept.notes) == ([], [])


async def test_a_large_one_comes_whole_while_output_goes_on(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    size = 12 << 20
    script = f"head -c {size} /dev/urandom > $file.new; mv $file.new $file; cksum < $file; sleep 1"
    outcome = await sandbox.run(shell(script, limit=16 << 20))
    assert outcome.exit_status == 0
    (version,) = kept.versions
    assert len(version) == size
