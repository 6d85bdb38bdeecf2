"""The private folders of jobs, and taking away what a job left there, however it looks."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH101, PTH102, PTH106

import os
import stat

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def prepare_spool(path: str) -> int:
    """Make the folder that holds the work folders, or take over ours. Gives it opened. Raises OSError."""
    try:
        os.mkdir(path, 0o711)
    except FileExistsError:
        pass
    fd = os.open(path, _OPEN_FOLDER)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to somebody else")
        # Others may pass through it to their own folder, but not see whose folders there are.
        os.fchmod(fd, 0o711)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make(spool: str, name: str, uid: int, gid: int) -> tuple[str, int]:
    """A fresh folder that only ``uid`` may enter, and it opened."""
    path = f"{spool}/{name}"
    os.mkdir(path, 0o700)
    fd = os.open(path, _OPEN_FOLDER)
    if (uid, gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, uid, gid)
    return path, fd


def put(folder: int, name: str, content: bytes, uid: int | None, gid: int) -> None:
    """A file that its owner alone may read, before the job begins. Raises OSError."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=folder)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if uid is not None:
            os.fchown(fd, uid, gid)
    finally:
        os.close(fd)


def remove(spool: str, name: str) -> None:
    """Take a work folder away with all that is in it. Nothing may run in it any more."""
    path = f"{spool}/{name}"
    try:
        os.chmod(path, 0o700)
        fd = os.open(path, _OPEN_FOLDER)
    except FileNotFoundError:
        return
    try:
        _empty(fd)
    finally:
        os.close(fd)
    os.rmdir(path)


def sweep(spool: str, spool_fd: int) -> int:
    """Take away every work folder: what a spawner that was killed left. Gives how many there were."""
    names = os.listdir(spool_fd)
    for name in names:
        remove(spool, name)
    return len(names)


def _empty(root: int) -> None:
    """Empty a folder. Folders below are lifted to the top before theirs is removed, so that a chain of a
    hundred thousand folders costs neither recursion nor open files."""
    lifted = 0
    while entries := _entries(root):
        for name, is_folder in entries:
            if not is_folder:
                os.unlink(name, dir_fd=root)
                continue
            inner = _open_own(name, root)
            try:
                for inner_name, inner_is_folder in _entries(inner):
                    if inner_is_folder:
                        # Moving a folder rewrites its "..", for which it must be writable.
                        os.close(_open_own(inner_name, inner))
                        lifted += 1
                        os.rename(
                            inner_name,
                            f".lifted-{lifted}-{os.urandom(6).hex()}",
                            src_dir_fd=inner,
                            dst_dir_fd=root,
                        )
                    else:
                        os.unlink(inner_name, dir_fd=inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=root)


def _entries(fd: int) -> list[tuple[str, bool]]:
    with os.scandir(fd) as found:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]


def _open_own(name: str, parent: int) -> int:
    """Open a folder, giving its owner back the rights that the job may have taken away."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
        raise NotADirectoryError(name)
    os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, _OPEN_FOLDER, dir_fd=parent)
