"""The kernel's rules as guard uses them: loaded once, then one watch for each job."""

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.sandbox.ebpf import cgroups, libbpf, mounts, tables
from appliance.sandbox.ebpf.build import OBJECT
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.events import parse
from appliance.sandbox.ebpf.loading import check, load, private_folder
from appliance.sandbox.ebpf.record import Observed, Record
from appliance.sandbox.ebpf.tables import Destination

LINGER = 30.0
"""Seconds for which the rules of a job stay after its end: what it has sent last may still be on its way."""

ON_CGROUPS = (
    "on_connect4",
    "on_connect6",
    "on_sendmsg4",
    "on_sendmsg6",
    "on_socket",
    "on_egress",
    "on_device",
)
ON_EVENTS = ("on_exec", "on_exit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one job may reach: None for no limit. ``devices`` are those beside the harmless ones."""

    network: Sequence[Destination] | None = None
    devices: Sequence[str] | None = None


@dataclass(slots=True)
class Watch:
    """One job under the rules. ``links`` is where those of its own are pinned, where it is not in the box's tree."""

    folder: Path
    number: int
    record: Record = field(default_factory=Record)
    links: Path | None = None
    rows: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name


class KernelRules:
    """Loads the programs and attaches them to the box's tree of cgroups. Raises NoKernelRules where it cannot.

    What an earlier guard has pinned goes on until the new programs are in its place, and so do the rules of jobs
    that still run.
    """

    def __init__(self, home_id: str, clock: Callable[[], float], *, file: Path = OBJECT) -> None:
        check(file)
        self._clock = clock
        self._mount = mounts.cgroup2()
        self.tree = cgroups.tree_of(self._mount, home_id)
        self._pins = private_folder(mounts.bpffs() / f"millwright-{home_id}")
        cgroups.make_tree(self.tree)
        self._object = load(file, self._pins, self.tree)
        self._jobs, self._allowed, self._devices, self._stop = (
            self._object.map(name) for name in ("jobs", "allowed", "devices", "stop")
        )
        self._watches: dict[int, Watch] = {}
        self._over: list[tuple[float, Watch]] = []
        self._ring = libbpf.Ring(self._object.map("events"), self._take)
        self._life = f"tree-{os.getpid()}-{os.urandom(4).hex()}"
        self._attach()

    @property
    def descriptor(self) -> int:
        """Can be read from when ``consume`` has something to do."""
        return self._ring.descriptor

    def consume(self) -> None:
        self._ring.consume()

    def set_cut(self, cut: bool) -> None:
        """Whether no job, also one that runs, may send anything. Pinned as the rest, so it outlives this process."""
        libbpf.put(self._stop, tables.SWITCH, tables.stop(cut))

    def begin(self, wanted: Wanted) -> Watch:
        """A fresh cgroup for a job that is yet to be started, with its rules in force."""
        folder = cgroups.make(self.tree)
        watch = Watch(folder, cgroups.number_of(folder))
        try:
            self._admit(watch, wanted)
        except NoKernelRules:
            self._drop(watch)
            cgroups.remove(folder)
            raise
        return watch

    def begin_container(self, pid: int, container: str, wanted: Wanted) -> Watch:
        """The rules on the cgroup of a container whose job is yet to be started."""
        folder = cgroups.of_container(self._mount, pid, container)
        watch = Watch(
            folder, cgroups.number_of(folder), links=private_folder(self._pins / f"container-{container}")
        )
        try:
            self._admit(watch, wanted)
            self._attach_to(folder, watch.links or self._pins)
        except NoKernelRules:
            self._drop(watch)
            raise
        return watch

    def end(self, watch: Watch) -> Observed:
        """What the job did. Whatever still runs of one in the box's tree is killed."""
        # One that can be removed is empty, and to kill takes eight times as long.
        if watch.links is None and not cgroups.remove(watch.folder):
            cgroups.kill(watch.folder)
        self._ring.consume()
        row = libbpf.get(self._jobs, tables.cgroup(watch.number), tables.JOB_SIZE)
        if self._watches.pop(watch.number, None) is not None:
            self._over.append((self._clock() + LINGER, watch))
        return watch.record.observed(tables.lost(row) if row else 0)

    def tidy(self) -> None:
        """Take what has come, and forget jobs that ended a while ago. Called every few seconds."""
        self.consume()
        now, later = self._clock(), []
        for until, watch in self._over:
            if now < until or (watch.links is None and not cgroups.remove(watch.folder)):
                later.append((until, watch))
            else:
                self._drop(watch)
        self._over = later
        self.forget_left()

    def forget_left(self) -> int:
        """Remove what an earlier guard has left of jobs of the process sandbox that are over; how many those were.

        One that still runs keeps its rules.
        """
        own = {watch.folder for watch in self._all()}
        removed = 0
        for folder in cgroups.present(self.tree):
            number = cgroups.number_of(folder)
            if folder not in own and cgroups.remove(folder):
                self._forget(number)
                removed += 1
        return removed

    def forget_containers(self) -> None:
        """Remove what an earlier guard has left of its containers, which must be gone."""
        alive = {cgroups.number_of(folder) for folder in cgroups.present(self.tree)}
        alive |= {watch.number for watch in self._all()}
        for key in libbpf.keys(self._jobs, tables.CGROUP_SIZE):
            if tables.cgroup_of(key) not in alive:
                self._forget(tables.cgroup_of(key))
        links = {watch.links for watch in self._all()}
        for folder in self._pins.glob("container-*"):
            if folder not in links:
                shutil.rmtree(folder, ignore_errors=True)

    def _all(self) -> list[Watch]:
        return [*self._watches.values(), *(watch for _, watch in self._over)]

    def close(self) -> None:
        """Give back what this process holds. The programs stay in force while a job is in the tree."""
        self.forget_left()
        self._ring.close()
        self._object.close()
        gone = [cgroups.remove(watch.folder) for _, watch in self._over if watch.links is None]
        if all(gone) and not self._watches and not cgroups.present(self.tree):
            shutil.rmtree(self._pins, ignore_errors=True)
            cgroups.remove(self.tree)

    def _attach(self) -> None:
        """New links first, then the old ones go: in between both decide, and what one denies is denied."""
        links = private_folder(self._pins / self._life)
        self._attach_to(self.tree, links)
        for program in ON_EVENTS:
            self._object.attach(program, links / program)
        for folder in self._pins.glob("tree-*"):
            if folder != links:
                shutil.rmtree(folder, ignore_errors=True)

    def _attach_to(self, cgroup: Path, links: Path) -> None:
        handle = cgroups.open_folder(cgroup)
        try:
            for program in ON_CGROUPS:
                self._object.attach(program, links / program, handle)
        finally:
            os.close(handle)

    def _admit(self, watch: Watch, wanted: Wanted) -> None:
        number, flags = watch.number, 0
        if wanted.network is not None:
            flags |= tables.LIMIT_NETWORK
            watch.rows += [(self._allowed, tables.destination(number, to)) for to in wanted.network]
        if wanted.devices is not None and (found := _numbers(wanted.devices)) is not None:
            flags |= tables.LIMIT_DEVICES
            watch.rows += [(self._devices, tables.device(number, *device)) for device in found]
        for table, key in watch.rows:
            libbpf.put(table, key, tables.PRESENT)
        self._watches[number] = watch
        libbpf.put(self._jobs, tables.cgroup(number), tables.job(flags))

    def _drop(self, watch: Watch) -> None:
        if watch.links is not None:
            shutil.rmtree(watch.links, ignore_errors=True)
        self._watches.pop(watch.number, None)
        libbpf.remove(self._jobs, tables.cgroup(watch.number))
        for table, key in watch.rows:
            libbpf.remove(table, key)

    def _forget(self, number: int) -> None:
        """As ``_drop``, of a job of an earlier guard: what it had is looked for."""
        libbpf.remove(self._jobs, tables.cgroup(number))
        for table, size, of in (
            (self._allowed, tables.DESTINATION_SIZE, tables.cgroup_of_destination),
            (self._devices, tables.DEVICE_SIZE, tables.cgroup_of),
        ):
            for key in libbpf.keys(table, size):
                if of(key) == number:
                    libbpf.remove(table, key)

    def _take(self, data: bytes) -> None:
        event = parse(data)
        watch = self._watches.get(event.cgroup)
        if watch is not None:
            watch.record.take(event)


def _numbers(paths: Sequence[str]) -> list[tuple[int, int]] | None:
    """Major and minor of device files; None, no limit, where one is a folder, whose content nobody knows."""
    found = []
    for path in paths:
        try:
            state = Path(path).stat()
        except OSError:
            continue
        if stat.S_ISDIR(state.st_mode):
            return None
        if stat.S_ISCHR(state.st_mode):
            found.append((os.major(state.st_rdev), os.minor(state.st_rdev)))
    return found
