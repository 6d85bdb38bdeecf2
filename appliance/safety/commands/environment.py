"""Variables that decide which code a program loads, or how the shell reads: setting one is never harmless.

Of those that programs get (``NAME=value program``, ``env``, ``export``) only a few are known to do nothing else than
change how something is shown.
"""

import re

_DANGEROUS = re.compile(
    r"LD_.*|DYLD_.*|PATH|IFS|ENV|BASH.*|SHELLOPTS|SHELL|PS4|PROMPT_COMMAND|CDPATH|GLOBIGNORE|POSIXLY_CORRECT|"
    r"HOME|XDG_.*|PYTHON.*|PERL.*|RUBY.*|GEM_.*|BUNDLE_.*|NODE_.*|NPM_.*|npm_.*|JAVA_.*|_JAVA_OPTIONS|JDK_.*|"
    r"CLASSPATH|LUA_.*|PHP.*|GIT_.*|SSH_.*|HG.*|SVN_.*|EDITOR|VISUAL|PAGER|MANPAGER|.*_PAGER|LESS.*|MORE|"
    r"BROWSER|GCONV_PATH|LOCPATH|LOCALDOMAIN|RES_OPTIONS|HOSTALIASES|NLSPATH|MALLOC_.*|GLIBC_.*|TERMINFO.*|"
    r"TERMCAP|TMPDIR|TAR_.*|TAPE|RSYNC_.*|CURL_.*|WGETRC|SYSTEM_WGETRC|.*_PROXY|.*_proxy|OPENSSL_.*|SSL_.*|"
    r"PIP_.*|DOCKER_.*|KUBE.*|HELM_.*|ANSIBLE_.*|PG.*|PSQL.*|MYSQL_.*|AWKPATH|AWKLIBPATH|POSIX_.*|"
    r"SUDO_.*|MAKEFLAGS|MAKEFILES|CC|CXX|CFLAGS|LDFLAGS|RUSTC.*|CARGO_.*|GO.*|SYSTEMD_.*|DBUS_.*|"
    r"FZF_.*|RIPGREP_.*|GREP_OPTIONS|BAT_.*|GZIP|BZIP.*|XZ_.*|ZSTD_.*|UNZIP|ZIP.*|PARALLEL.*|OPTIND|"
    r"[EF]?GREP|CMP|DIFF|ZCAT|LZMA_.*|LZOP|LZIP|PS\d|LANGUAGE|MAIL|MAILPATH|INPUTRC|HOSTFILE|EXECIGNORE|FIGNORE|FCEDIT|TMOUT"
)
_NUMBERS = re.compile(
    r"RANDOM|SRANDOM|SECONDS|LINENO|HISTCMD|OPT(?:IND|ERR|ARG)|E?UID|PPID|EPOCH(?:REALTIME|SECONDS)|"
    r"COMP_(?:CWORD|KEY|POINT|TYPE)|FUNCNEST|GROUPS|DIRSTACK"
)
"""In bash some of these are numbers: what is assigned to one is calculated, and may run a command."""
_HARMLESS = re.compile(
    r"LANG|LC_[A-Z]+|TZ|TERM|COLUMNS|LINES|NO_COLOR|CLICOLOR|CLICOLOR_FORCE|FORCE_COLOR|LS_COLORS|GREP_COLORS?|"
    r"TIME_STYLE|QUOTING_STYLE|BLOCK_SIZE"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def dangerous(name: str) -> bool:
    """Whether setting ``name`` can change which code runs afterwards."""
    return _DANGEROUS.fullmatch(name) is not None or _NUMBERS.fullmatch(name) is not None


def harmless(name: str) -> bool:
    """Whether a program that gets ``name`` with any value surely runs nothing else for it."""
    return _HARMLESS.fullmatch(name) is not None


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None
