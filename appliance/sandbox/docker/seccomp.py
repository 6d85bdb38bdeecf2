"""The system calls of a container: a list of permissions, tighter than the engine's own.

Against that list there is no io_uring, ptrace or other way into a process, no kernel key, bpf, perf, userfaultfd,
no mount or namespace call in any spelling, no System V or POSIX message queue, no device node, no file handle,
no clock, no 32-bit call; and of sockets only streams and datagrams of three families, and the routing socket that
the C library asks for addresses.
"""

import errno
import json
from functools import cache

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr
lstat mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs
statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
vmsplice write writev
"""
_MEMORY = """
brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall
munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
"""
_PROCESSES = """
arch_prctl capget capset execve execveat exit exit_group fork getegid geteuid getgid getgroups getpgid getpgrp getpid
getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid kill pidfd_open pidfd_send_signal
prctl prlimit64 restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_yield seccomp
set_robust_list get_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid
setresgid setresuid setreuid setrlimit setsid setuid sigaltstack tgkill tkill vfork wait4 waitid
landlock_add_rule landlock_create_ruleset landlock_restrict_self
"""
_WAITING = """
alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait eventfd eventfd2 futex futex_waitv getcpu getitimer getrandom gettimeofday nanosleep pause poll ppoll
pselect6 select setitimer signalfd signalfd4 sysinfo time timer_create timer_delete timer_getoverrun timer_gettime
timer_settime timerfd_create timerfd_gettime timerfd_settime times uname
"""
_TALKING = """
accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
sendto setsockopt shutdown socketpair
"""

_CLONE_NAMESPACES = 0x7E020080
"""Every CLONE_NEW… flag: without a namespace of its own no process gains a right in one."""
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_TYPE = 1, 2, 0xF
_NETLINK_ROUTE = 0
_S_IFMT, _S_IFIFO = 0o170000, 0o010000
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_Argument = dict[str, int | str]


@cache
def profile() -> str:
    """The filter as the engine takes it: JSON."""
    names = " ".join((_FILES, _MEMORY, _PROCESSES, _WAITING, _TALKING)).split()
    rules: list[dict[str, object]] = [{"names": sorted(set(names)), "action": "SCMP_ACT_ALLOW"}]
    rules += [_allow("socket", *arguments) for arguments in _sockets()]
    rules += [_allow("personality", _equal(0, value)) for value in _PERSONALITIES]
    rules += [
        _allow(name, _masked(index, _S_IFMT, _S_IFIFO)) for name, index in (("mknod", 1), ("mknodat", 2))
    ]
    rules.append(_allow("clone", _masked(0, _CLONE_NAMESPACES, 0)))
    # The C library falls back to clone, whose flags a filter can read.
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS})
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": errno.EPERM,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
            ],
            "syscalls": rules,
        }
    )


def _sockets() -> list[tuple[_Argument, ...]]:
    ordinary = [
        (_equal(0, family), _masked(1, _SOCK_TYPE, kind))
        for family in (_AF_UNIX, _AF_INET, _AF_INET6)
        for kind in (_SOCK_STREAM, _SOCK_DGRAM)
    ]
    return [*ordinary, (_equal(0, _AF_NETLINK), _equal(2, _NETLINK_ROUTE))]


def _allow(name: str, *arguments: _Argument) -> dict[str, object]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [*arguments]}


def _equal(index: int, value: int) -> _Argument:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _masked(index: int, mask: int, value: int) -> _Argument:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
