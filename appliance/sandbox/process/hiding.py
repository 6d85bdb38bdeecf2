"""The appliance's own folders, kept out of sight of jobs that run as the user who owns them.

Landlock bounds what is opened, made and removed. Calls that change a mode, an owner, a time or an attribute by a path
are not among what it bounds. So an empty file system is put over these folders, in a view of the files that the
supervisor has for itself and its jobs; of what lies in them the models alone can be seen there, and nothing of those be
changed. Where the kernel lets nobody but root have such a view, the filter of system
calls refuses those calls.
"""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH112, PTH120, PTH123

import os
import sys

from appliance.sandbox.process import kernel, tree
from appliance.sandbox.process.options import Options


def folders_of(options: Options) -> list[str]:
    """What is to be hidden: nothing where jobs have a user of their own, who owns none of it."""
    if options.uid is not None:
        return []
    home, sockets = options.home, os.path.dirname(os.path.realpath(options.socket))
    found = [home] if sockets == home or sockets.startswith(home + "/") else [home, sockets]
    return [folder for folder in found if os.path.isdir(folder)]


def holds_secrets(options: Options) -> bool:
    """Whether there is anything to lose: in a container of its own the spawner has no home."""
    return options.uid is None and os.path.isdir(f"{options.home}/secrets")


def is_possible(folders: list[str], models: str = "") -> bool:
    """Whether ``hide`` would work here: tried in a process of its own, as there is no way back."""
    if not folders:
        return False
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            hide(folders, models)
            # A system that hides others' processes would hide those by which one tells who asks for a job.
            code = 0 if tree.parent_of(os.getppid()) else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def hide(folders: list[str], models: str = "") -> None:
    """Give this process, and what it starts, a view of the files in which these folders are empty but for ``models``.
    Raises OSError.

    Users but our own are "nobody" from here on, as is the owner of what they own; what may be opened stays the same.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.enter_own_namespaces()
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    os.chdir("/")
    shown = kernel.only_to_read(models) if models and os.path.isdir(models) else None
    for folder in folders:
        kernel.cover(folder, models[len(folder) + 1 :] if models.startswith(folder + "/") else "")
    if shown is not None:
        kernel.place(shown, models)
        os.close(shown)


def try_to_hide(folders: list[str], models: str = "") -> bool:
    """``hide``; whether that was possible."""
    try:
        hide(folders, models)
    except OSError as error:
        print(f"spawner: the home cannot be hidden from jobs: {error}", file=sys.stderr, flush=True)
        return False
    return True
