"""Files that the box puts into a job's working folder: there from the beginning, for this job alone, gone with it."""

from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job
from tests.contract.sandbox.conftest import Member

VALUE = "-----BEGIN KEY-----\nab'c\"$(id) °\n-----END KEY-----"


async def test_a_file_is_there_for_its_owner_alone_and_gone_afterwards(member: Member) -> None:
    script = 'cat key.pem; stat -c %a key.pem; echo; printf %s "$TOKEN"'
    job = Job(("/bin/sh", "-c", script), files={"key.pem": VALUE, "b": ""}, env={"TOKEN": "t-o'k"})
    outcome = await member.sandbox.run(job)
    assert outcome.stdout.text == f"{VALUE}600\n\nt-o'k"
    again = await member.sandbox.run(Job(("/bin/sh", "-c", 'ls -A; echo "[$TOKEN]"')))
    assert again.stdout.text == "[]\n"
    left = [path for path in member.home.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()]
    assert left == []


@pytest.mark.parametrize("name", ["", ".checkpoint", "../x", "a/b", "-rf"])
async def test_a_name_that_leads_elsewhere_is_refused(member: Member, name: str) -> None:
    with pytest.raises(JobRefused):
        await member.sandbox.run(Job(("true",), files={name: "x"}))


async def test_a_folder_that_is_not_its_own_gets_none(member: Member, tmp_path: Path) -> None:
    with pytest.raises(JobRefused):
        await member.sandbox.run(Job(("true",), workdir=tmp_path, files={"a": "x"}))
