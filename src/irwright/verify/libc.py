"""Who plays which callee: models of the C library, prototypes of functions that are only recorded, signatures.

A prototype is a word: parameters, `>`, result. i is an int, l a long or size_t, p a pointer, s a string whose text is
recorded, b a buffer whose size is the next l or k (an int), w the address of an int and t that of two longs, which the
callee reads, d a double, `.` the end of what is known of a variadic one.
"""

from __future__ import annotations

from irwright.verify import libc_io, libc_math, libc_numbers, libc_runtime
from irwright.verify.calls import Call, External, set_errno
from irwright.verify.libc_strings import MODELS, checked_size
from irwright.verify.memory import Fault
from irwright.verify.signatures import DOUBLE, I32, I64, POINTER, Kind, Signature, Value
from irwright.verify.trace import Argument
from irwright.verify.unknown import give_results, play_unknown

_PROTOTYPES = """
open:si.>i open64:si.>i openat:isi.>i creat:si>i close:i>i lseek:ili>l lseek64:ili>l access:si>i unlink:s>i
mkdir:si>i rmdir:s>i rename:ss>i remove:s>i link:ss>i symlink:ss>i readlink:spl>l chmod:si>i chown:sii>i fchmod:ii>i
fchown:iii>i chdir:s>i fchdir:i>i getcwd:pl>p dup:i>i dup2:ii>i pipe:p>i fcntl:ii.>i ioctl:il.>i fsync:i>i
ftruncate:il>i truncate:sl>i isatty:i>i ttyname:i>p umask:i>i mkstemp:p>i mkdtemp:p>p mktemp:p>p utime:sp>i
utimes:sp>i opendir:s>p readdir:p>p closedir:p>i flock:ii>i sync:>v realpath:sp>p
fopen:ss>p fopen64:ss>p fdopen:is>p freopen:ssp>p fclose:p>i fseek:pli>i fseeko:pli>i ftell:p>l ftello:p>l
feof:p>i ferror:p>i fileno:p>i getline:ppp>l getdelim:ppip>l tmpfile:>p popen:ss>p pclose:p>i fgetpos:pp>i fsetpos:pp>i
getpid:>i getppid:>i getuid:>i geteuid:>i getgid:>i getegid:>i setuid:i>i setgid:i>i getpwnam:s>p getpwuid:i>p
getgrgid:i>p getlogin:>p gethostname:pl>i sysconf:i>l getpagesize:>i getopt:ips>i getopt_long:ipspp>i
fork:>i vfork:>i wait:p>i waitpid:ipi>i kill:ii>i raise:i>i alarm:i>i sleep:i>i usleep:i>i nanosleep:tp>i
signal:ip>p sigaction:ipp>i sigprocmask:ipp>i sigaddset:pi>i sigdelset:pi>i sigismember:pi>i sigsuspend:p>i system:s>i
execv:sp>i execve:spp>i setenv:ssi>i unsetenv:s>i putenv:p>i
srand:i>v srandom:i>v srand48:l>v drand48:>d clock:>l mktime:p>l strftime:plsp>l difftime:ll>d asctime:p>p ctime:p>p
tzset:>v strptime:ssp>p clock_settime:it>i timegm:p>l
socket:iii>i bind:ibk>i listen:ii>i accept:ipp>i connect:ibk>i sendto:ibliipi>l recvfrom:ipliipp>l shutdown:ii>i
setsockopt:iiibk>i getsockopt:iiipw>i getsockname:ipw>i getpeername:ipw>i select:ipppt>i poll:pli>i inet_ntoa:i>p
inet_addr:s>i inet_pton:isp>i inet_ntop:ippi>p getaddrinfo:sspp>i freeaddrinfo:p>v gethostbyname:s>p
mmap:pliiil>p munmap:pl>i mprotect:pli>i msync:pli>i madvise:pli>i
pthread_mutex_init:pp>0 pthread_mutex_destroy:p>0 pthread_mutex_lock:p>0 pthread_mutex_trylock:p>i
pthread_mutex_unlock:p>0 pthread_create:pppp>i pthread_join:lp>i pthread_self:>l pthread_detach:l>i
pthread_cond_init:pp>0 pthread_cond_destroy:p>0 pthread_cond_wait:pp>0 pthread_cond_signal:p>0
pthread_cond_broadcast:p>0 pthread_cond_timedwait:ppt>i pthread_once:pp>0 pthread_key_create:pp>0
pthread_getspecific:i>p pthread_setspecific:ip>0 pthread_rwlock_rdlock:p>0 pthread_rwlock_wrlock:p>0
pthread_rwlock_unlock:p>0 pthread_rwlock_init:pp>0 pthread_rwlock_destroy:p>0 sched_yield:>i
setlocale:is>p localeconv:>p nl_langinfo:i>p iconv_open:ss>p iconv_close:p>i
dlopen:si>p dlsym:ps>p dlclose:p>i dlerror:>p syslog:is.>v openlog:sii>v closelog:>v
tcsetattr:iip>i cfgetospeed:p>i cfsetospeed:pi>i ftok:si>i getrlimit:ip>i setrlimit:ip>i
"""

MAX_CONTENT = 1 << 16
_KINDS = {"i": I32, "k": I32, "l": I64, "d": DOUBLE} | dict.fromkeys("psbwt", POINTER)
_READ = {"w": 4, "t": 16}
"""bytes that a callee reads there"""
RECORDED: dict[str, str] = dict(word.split(":", 1) for word in _PROTOTYPES.split())  # type: ignore[misc]
"""name to prototype of what is recorded as it is called"""

assert libc_io and libc_math and libc_numbers  # their models are in MODELS


def known_names() -> frozenset[str]:
    """Functions that are more than a name and a signature."""
    return frozenset(MODELS) | frozenset(RECORDED)


def may_look(external: External) -> bool:
    """Whatever a program can reach may be read by this callee: what is not stored yet when it is called is missing."""
    name, signature = external.name or "", external.signature
    if name in MODELS or name in RECORDED or libc_runtime.ending(name) is not None:
        return False
    return signature is None or not (signature.is_pure or signature.is_noreturn)


def play(call: Call) -> None:
    """Do what the callee would do."""
    name = call.external.name or ""
    model = MODELS.get(name) or libc_runtime.ending(name)
    if model is not None:
        model(call)
    elif name in RECORDED:
        _record(call, RECORDED[name])
    else:
        play_unknown(call)


def _record(call: Call, prototype: str) -> None:
    """Record a call by its prototype, and return something."""
    parameters, _, result = prototype.partition(">")
    arguments: list[Argument] = []
    content: list[bytes] = []
    buffer: int | None = None
    for letter in parameters:
        if letter == ".":
            break
        kind = _KINDS[letter]
        if letter in "lk" and buffer is not None:
            size = checked_size(call) if letter == "l" else call.next(kind)
            content.append(_bytes(call, buffer, size))
            buffer = None
            continue
        value = call.next(kind)
        if letter == "b":
            buffer = value
        elif letter in _READ:
            content.append(_bytes(call, value, _READ[letter]))
        elif letter == "s" and value:
            content.append(_text(call, value))
        else:
            arguments.append((kind.kind, kind.bits, value))
    call.record(*arguments, content=tuple(content))
    set_errno(call)
    if result == "0":
        call.give(0)
    elif result != "v":
        value = _KINDS[result]
        give_results(call, Signature(parameters=(), results=(_result(value),)), call.chance())


def _result(value: Value) -> Value:
    return value if value.kind is not Kind.INT else Value(kind=Kind.INT, bits=value.bits)


def _bytes(call: Call, address: int, size: int) -> bytes:
    """What is there; nothing where there is nothing to be read."""
    try:
        return call.memory.read(address, size) if address and size <= MAX_CONTENT else b""
    except Fault:
        return b""


def _text(call: Call, address: int) -> bytes:
    try:
        return call.memory.read_string(address, 4096)
    except Fault:
        return b""
