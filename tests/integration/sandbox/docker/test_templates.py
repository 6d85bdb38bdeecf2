"""What the other templates give, what they refuse, and what happens without what they need."""

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job
from tests.container_engine import PrivateEngine, busybox_image, import_image
from tests.guard import RunningGuard, start_guard
from tests.integration.sandbox.docker.conftest import DEVICE_GROUP, Inside

TRUE = Job(("true",))


async def test_an_image_that_is_not_here_is_refused_and_never_fetched(inside: Inside) -> None:
    for image in (f"sha256:{'1' * 64}", f"debian@sha256:{'1' * 64}"):
        with pytest.raises(JobRefused, match="is not on this box") as refusal:
            await inside.guard.sandbox(image=image).run(TRUE)
        assert refusal.value.hint
        assert "docker pull" in refusal.value.hint


async def test_a_job_with_programs_of_this_machine_is_refused(inside: Inside) -> None:
    for job in (
        Job(("true",), pins={"/usr/bin/true": "0" * 64}),
        Job(("true",), executable="/usr/bin/true"),
    ):
        with pytest.raises(JobRefused, match="cannot be pinned by themselves"):
            await inside.guard.sandbox().run(job)


async def test_an_image_without_a_shell_is_refused_with_the_reason(inside: Inside) -> None:
    with inside.guard.engine.client() as client:
        bare = import_image(client, busybox_image(shell=False))
    with pytest.raises(JobRefused, match="no /bin/sh"):
        await inside.guard.sandbox(image=bare).run(TRUE)


async def test_a_link_of_the_image_on_the_way_to_a_mount_is_its_own_affair(inside: Inside) -> None:
    """The path of the machine's folder leads, in the image, by way of a link that means something else here."""
    with inside.guard.engine.client() as client:
        linked = import_image(client, busybox_image(links={"var/tmp": "/data"}))
    read = str(inside.readable)
    job = Job(("/bin/sh", "-c", 'cat "$1/note"; readlink /var/tmp', "mw", read), reads=(read,))
    outcome = await inside.guard.sandbox(image=linked).run(job)
    assert outcome.stdout.text == "readable by all\n/data\n"


async def test_what_an_image_asks_for_itself_does_not_weaken_anything(inside: Inside) -> None:
    wishes = (
        "USER root",
        "VOLUME /data",
        'ENTRYPOINT ["/bin/sh","-c","echo entry"]',
        "WORKDIR /etc",
        "ENV A=1",
    )
    with inside.guard.engine.client() as client:
        wishing = import_image(client, busybox_image(), *wishes)
        volumes = client.volumes()["Volumes"]
    script = ("/bin/sh", "-c", 'id -u; pwd; echo "$A"; grep " /data " /proc/mounts; echo x > /etc/x')
    outcome = await inside.guard.sandbox(image=wishing).run(Job(script))
    uid, place, variable, mount = outcome.stdout.text.splitlines()
    assert (uid, place, variable) == (str(inside.guard.home.sandbox_uid), "/job", "1")
    assert mount.startswith("tmpfs /data tmpfs rw,nosuid,nodev,noexec")
    with inside.guard.engine.client() as client:
        assert client.volumes()["Volumes"] == volumes


async def test_a_device_is_given_only_by_its_template(inside: Inside) -> None:
    script = 'head -c 3 "$1" | od -An -tx1; echo x > "$1" && echo written'
    outcome = await inside.attempt(script, inside.device, template="device")
    assert outcome.stdout.text == " 00 00 00\nwritten\n", outcome.stderr.text
    assert (await inside.attempt(script, inside.device)).stdout.text == ""


async def test_with_a_device_comes_nothing_else(inside: Inside) -> None:
    script = (
        "for d in $(find /dev -type b -o -type c); do echo ${d#/dev/}; done; echo --; id -G; ls /sys/class/net;"
        " grep -c '^Cap...:.0*$' /proc/self/status; mknod /job/d c 1 5; mknod /job/e b 8 0; ls /job; echo x > /etc/x"
    )
    outcome = await inside.attempt(script, template="device")
    devices, _, rest = outcome.stdout.text.partition("--\n")
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts/ptmx"}
    assert set(devices.split()) - harmless == {inside.device.name}
    groups, *others = rest.splitlines()
    assert set(groups.split()) == {str(inside.guard.home.sandbox_uid), str(DEVICE_GROUP)}
    assert others == ["lo", "5"]


async def test_trusted_is_for_named_images_only(inside: Inside) -> None:
    with pytest.raises(JobRefused, match="only for images that the box's settings name"):
        await inside.attempt("true", template="trusted")


async def test_net_leads_nowhere_also_where_the_engine_has_no_packet_filter(inside: Inside) -> None:
    """This engine runs without; what it would reach with other ones is tried in test_networks."""
    script = (
        "set -- $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p') \"$@\";"
        ' for a in "$@"; do nc -w 1 "$a" $PORT </dev/null && echo "reached $a"; done; ls /sys/class/net'
    )
    addresses = subprocess.check_output(["hostname", "-I"], text=True).split()
    with socket.create_server(("0.0.0.0", 0)) as server:
        text = script.replace("$PORT", str(server.getsockname()[1]))
        outcome = await inside.attempt(text, *addresses, "169.254.169.254", template="net", timeout=60)
    assert outcome.stdout.text == "eth0\nlo\n"


async def test_a_folder_that_is_exchanged_while_the_container_starts_is_not_given(
    container_engine: PrivateEngine, inside: Inside
) -> None:
    """A link is put in the folder's place again and again; what the job sees is the folder or nothing."""
    place, other = inside.writable / "swapped", inside.writable / "kept"
    other.mkdir()
    (other / "name").write_text("folder\n")
    secret = inside.guard.home.path / "elsewhere"
    secret.mkdir()
    (secret / "name").write_text("secret\n")
    stop = asyncio.Event()

    async def swap() -> None:
        while not stop.is_set():
            other.rename(place)
            await asyncio.sleep(0.004)
            place.rename(other)
            place.symlink_to(secret)
            await asyncio.sleep(0.004)
            place.unlink()

    swapping = asyncio.create_task(swap())
    seen: set[str] = set()
    for _ in range(6):
        try:
            job = Job(("cat", f"{place}/name"), writes=(str(place),))
            seen.add((await inside.guard.sandbox().run(job)).stdout.text)
        except (JobRefused, SandboxUnavailable):
            continue
    stop.set()
    await swapping
    assert "secret\n" not in seen


async def test_without_an_engine_jobs_are_turned_away_with_what_to_do(
    tmp_path: Path, container_engine: PrivateEngine
) -> None:
    nowhere = PrivateEngine(f"unix://{tmp_path}/none.sock", 0, container_engine.image)
    guard = start_guard(tmp_path, nowhere)
    try:
        with pytest.raises(SandboxUnavailable, match="cannot be reached") as trouble:
            await guard.sandbox().run(TRUE)
        assert trouble.value.hint
        assert "apt-get install docker.io" in trouble.value.hint
        answer = await guard.client.ask("probe")
        assert not answer["healthy"]
    finally:
        guard.stop()


async def test_no_guard_is_a_clear_and_passing_trouble(tmp_path: Path, inside: Inside) -> None:
    gone = RunningGuard(inside.guard.process, inside.guard.home, inside.guard.engine)
    gone.home = type(gone.home)(tmp_path, gone.home.id)
    with pytest.raises(SandboxUnavailable, match=r"guard at .* cannot be reached") as trouble:
        await gone.sandbox().run(TRUE)
    assert not trouble.value.permanent
