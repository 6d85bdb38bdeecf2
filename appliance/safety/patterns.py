"""The outermost, cheapest line: commands that no task has a reason to run, as data.

This is a net for accidents, not a wall: what a command may really do is decided by the policy and limited by
the sandbox. Every repetition is bounded or cannot overlap with its neighbour, so that no
text takes long to read.
"""

import re
from dataclasses import dataclass

LONGEST = 16 * 1024
"""A longer command is refused unread: nobody can review it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of command that is refused, with the sentence a person reads."""

    id: str
    expression: re.Pattern[str]
    reason: str


_START = r"(?:^|[;&|({`\n]|\$\(|\b(?:sudo|doas|exec|env|nohup|time|then|do|else|xargs)\b[^;&|\n]{0,80}?)\s*"
_BIN = r"(?:/(?:usr/)?s?bin/)?"
_SYSTEM = r"(?:bin|boot|dev|etc|home|lib|lib64|opt|proc|root|run|sbin|srv|sys|usr|var)"
# The root, everything in it, a whole system folder, or somebody's home: with or without quotes.
_TARGET = rf"/+(?:{_SYSTEM}/*)?(?:\*|\.{{1,2}}/?)?|~[a-z]*/?\*?|\$\{{?HOME\}}?/?\*?"
_WHOLE = rf"""["']?(?:{_TARGET})["']?(?=$|[\s;&|)`"'])"""
_DISK = r"/dev/(?:sd[a-z]|hd[a-z]|vd[a-z]|xvd[a-z]|nvme\d|mmcblk\d|dm-\d|md\d|mapper/|disk/)"


def _pattern(id_: str, expression: str, reason: str) -> Pattern:
    return Pattern(id_, re.compile(expression), reason)


PATTERNS: tuple[Pattern, ...] = (
    _pattern(
        "rm-root",
        rf"{_START}{_BIN}rm\s(?=[^;&|\n]{{0,200}}(?:\s|^)?-(?:[a-zA-Z]*[rR]|-recursive))(?:[^;&|\n]{{0,400}}\s)?{_WHOLE}",
        "removes a whole system or home folder",
    ),
    _pattern("rm-no-preserve-root", r"--no-preserve-root\b", "asks to remove the root folder"),
    _pattern(
        "find-delete-root",
        rf"{_START}{_BIN}find\s+{_WHOLE}[^;&|\n]{{0,400}}\s-(?:delete\b|exec\s+\S*rm\b)",
        "removes files found under a whole system folder",
    ),
    _pattern(
        "mkfs", rf"{_START}{_BIN}(?:mkfs(?:\.\w+)?|mkswap|wipefs|blkdiscard)\s", "formats or wipes a disk"
    ),
    _pattern("dd-disk", rf"\bdd\b[^;&|\n]{{0,400}}\bof={_DISK}", "overwrites a disk"),
    _pattern("redirect-disk", rf">\s*{_DISK}", "overwrites a disk"),
    _pattern("shred-disk", rf"\bshred\b[^;&|\n]{{0,200}}\s{_DISK}", "overwrites a disk"),
    _pattern(
        "partition",
        rf"{_START}{_BIN}(?:fdisk|sfdisk|parted|sgdisk|cfdisk)\s[^;&|\n]{{0,200}}{_DISK}",
        "partitions a disk",
    ),
    _pattern(
        "fork-bomb",
        r"((?<!\w)\w{1,40}|:)\s{0,4}\(\)\s{0,4}\{[^}]{0,60}\1\s{0,4}\|\s{0,4}\1",
        "starts copies of itself without end",
    ),
    _pattern(
        "mode-root",
        rf"{_START}{_BIN}(?:chmod|chown|chgrp)\s(?=[^;&|\n]{{0,200}}-(?:[a-zA-Z]*R|-recursive))(?:[^;&|\n]{{0,400}}\s)?{_WHOLE}",
        "changes the rights of a whole system or home folder",
    ),
    _pattern(
        "download-to-shell",
        rf"\b(?:curl|wget|fetch)\b[^;&\n]{{0,1000}}\|\s*(?:sudo\s+)?{_BIN}(?:ba|da|z|k|a)?sh\b",
        "runs what it downloads, unseen",
    ),
    _pattern(
        "download-substituted",
        r"\b(?:eval|(?:ba|da|z|k)?sh\s+-c|source|\.)\s[^\n]{0,40}(?:\$\(|`|<\()\s*(?:curl|wget)\b",
        "runs what it downloads, unseen",
    ),
    _pattern(
        "decoded-to-shell",
        rf"\bbase(?:64|32)\s+(?:-d|-D|--decode)\b[^;&\n]{{0,400}}\|\s*(?:sudo\s+)?{_BIN}(?:(?:ba|da|z|k|a)?sh|python3?|perl)\b",
        "runs a hidden text",
    ),
    _pattern("reverse-shell", r"/dev/(?:tcp|udp)/\S+/\d+", "opens a network connection from the shell"),
    _pattern(
        "netcat-shell",
        r"\b(?:nc|ncat|netcat)\b[^;&|\n]{0,200}\s-(?:\w*[ec])\s*\S*sh\b",
        "gives a shell to the network",
    ),
    _pattern(
        "power",
        rf"{_START}{_BIN}(?:shutdown|reboot|halt|poweroff|telinit|init\s+[06])\b",
        "stops the machine",
    ),
    _pattern(
        "systemctl-power",
        r"\bsystemctl\s+(?:-\S+\s+)*(?:poweroff|reboot|halt|kexec|rescue|emergency)\b",
        "stops the machine",
    ),
    _pattern(
        "kill-all",
        rf"{_START}{_BIN}kill\s+(?:(?:-\S+|[A-Z]{{3,6}})\s+){{1,3}}-1(?=$|[\s;&|)])",
        "kills every process",
    ),
    _pattern(
        "accounts-file",
        r"(?:>\s*|\btee\s+(?:-a\s+)?)/etc/(?:passwd|shadow|sudoers|group|gshadow|ssh/|ld\.so\.preload|crontab)",
        "writes the system's accounts or start-up files",
    ),
    _pattern(
        "docker-socket",
        r"/(?:var/)?run/(?:docker|containerd/containerd|podman/podman)\.sock\b",
        "reaches for the container engine, which is root",
    ),
    _pattern(
        "firewall-flush",
        rf"{_START}{_BIN}(?:ip6?tables\s+(?:-\S+\s+)*(?:-F|--flush)\b|nft\s+flush\s+ruleset)",
        "takes the firewall down",
    ),
    _pattern(
        "kernel-module", rf"{_START}{_BIN}(?:insmod|modprobe|rmmod|kexec)\s", "changes the running kernel"
    ),
    _pattern("sysrq", r">\s*/proc/sysrq-trigger\b", "stops the machine"),
    _pattern(
        "history-wipe",
        rf"{_START}(?:history\s+-c\b|unset\s+HISTFILE\b)|{_BIN}journalctl\s[^;&|\n]{{0,100}}--vacuum-(?:time|size)=0?1s?\b",
        "hides traces",
    ),
)


def normalised(text: str) -> str:
    """The text roughly as the shell reads it: lines joined, single spaces, no quoting inside words."""
    joined = text.replace("\\\n", "")
    joined = re.sub(r"[ \t\r\f\v]+|\$\{?IFS\}?", " ", joined)
    joined = re.sub(r"\s*\n\s*", "\n", joined)
    return re.sub(r"(?<=\w)(?:''|\"\"|\\)(?=\w)", "", joined)


def refused(text: str) -> Pattern | None:
    """The first pattern that a command's text matches, or None."""
    if len(text) > LONGEST:
        return TOO_LONG
    read = normalised(text)
    return next((pattern for pattern in PATTERNS if pattern.expression.search(read)), None)


TOO_LONG = _pattern("too-long", r"(?!)", f"is longer than {LONGEST} characters")
