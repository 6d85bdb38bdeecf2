"""What is used of libbpf, by ctypes. Every call raises NoKernelRules with the kernel's reason."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from appliance.sandbox.ebpf.errors import NoKernelRules

_NAMES = ("libbpf.so.1", "libbpf.so")
_POINTERS = (
    "bpf_object__open_file", "bpf_object__find_program_by_name", "bpf_object__find_map_by_name",
    "bpf_program__attach_cgroup", "bpf_program__attach", "ring_buffer__new",
)  # fmt: skip
_Sample = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _OpenOptions(ctypes.Structure):
    """The beginning of ``struct bpf_object_open_opts``; ``size`` tells where it ends here."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
    ]


@cache
def _library() -> ctypes.CDLL:
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        for function in _POINTERS:
            getattr(library, function).restype = ctypes.c_void_p
        library.libbpf_set_print(None)
        return library
    raise NoKernelRules("there is no libbpf, which loads the kernel's rules", "apt-get install libbpf1")


def check_library() -> None:
    """Raises NoKernelRules when there is none."""
    _library()


def _checked(value: int | None, what: str) -> int:
    if value is None or value < 0:
        code = ctypes.get_errno() or (-value if value else 0)
        raise NoKernelRules(f"the kernel does not take {what}: {os.strerror(code)}")
    return value


class Object:
    """A loaded object file: its maps by name (file descriptors) and its programs.

    ``pins`` is a folder on a bpf file system. Maps that are pinned there already are taken over, with all that is
    in them.
    """

    def __init__(self, file: Path, pins: Path) -> None:
        library = _library()
        options = _OpenOptions(ctypes.sizeof(_OpenOptions), None, False, os.fsencode(pins))
        opened = library.bpf_object__open_file(os.fsencode(file), ctypes.byref(options))
        self._object = ctypes.c_void_p(_checked(opened, f"the object file {file.name}"))
        try:
            _checked(library.bpf_object__load(self._object), f"the programs of {file.name}")
        except NoKernelRules:
            library.bpf_object__close(self._object)
            raise

    def map(self, name: str) -> int:
        found = _checked(_library().bpf_object__find_map_by_name(self._object, name.encode()), f"map {name}")
        return int(_library().bpf_map__fd(ctypes.c_void_p(found)))

    def attach(self, program: str, pin: Path, cgroup: int | None = None) -> None:
        """Attach a program, to a cgroup (an open folder) or to what its section names, by a link pinned at ``pin``.

        It holds until the pin is removed, whoever lives.
        """
        library = _library()
        found = _checked(
            library.bpf_object__find_program_by_name(self._object, program.encode()), f"program {program}"
        )
        made = (
            library.bpf_program__attach(ctypes.c_void_p(found))
            if cgroup is None
            else library.bpf_program__attach_cgroup(ctypes.c_void_p(found), cgroup)
        )
        link = ctypes.c_void_p(_checked(made, f"the program {program} at its place"))
        try:
            _checked(library.bpf_link__pin(link, os.fsencode(pin)), f"a pin at {pin}")
        finally:
            library.bpf_link__destroy(link)  # our handle of it; the pin keeps it

    def close(self) -> None:
        _library().bpf_object__close(self._object)


class Ring:
    """The consumer of a ring of events. ``descriptor`` can be polled for reading."""

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        def sample(_: int | None, data: int, size: int) -> int:
            take(ctypes.string_at(data, size))
            return 0

        self._sample = _Sample(sample)  # kept: C calls it
        made = _library().ring_buffer__new(descriptor, self._sample, None, None)
        self._ring = ctypes.c_void_p(_checked(made, "a reader of events"))

    @property
    def descriptor(self) -> int:
        return int(_library().ring_buffer__epoll_fd(self._ring))

    def consume(self) -> None:
        """Hand over all that has come."""
        _library().ring_buffer__consume(self._ring)

    def close(self) -> None:
        _library().ring_buffer__free(self._ring)


def put(table: int, key: bytes, value: bytes) -> None:
    """Write a row of a map. Raises NoKernelRules when it is full."""
    if _library().bpf_map_update_elem(table, key, value, ctypes.c_ulonglong(0)):
        raise NoKernelRules(f"a table of the kernel's rules is full: {os.strerror(ctypes.get_errno())}")


def get(table: int, key: bytes, size: int) -> bytes | None:
    value = ctypes.create_string_buffer(size)
    return None if _library().bpf_map_lookup_elem(table, key, value) else value.raw


def remove(table: int, key: bytes) -> None:
    _library().bpf_map_delete_elem(table, key)


def keys(table: int, size: int) -> list[bytes]:
    """Every key, as far as nobody writes meanwhile."""
    found: list[bytes] = []
    following = ctypes.create_string_buffer(size)
    while not _library().bpf_map_get_next_key(table, found[-1] if found else None, following):
        found.append(following.raw)
    return found
