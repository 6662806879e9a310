"""PAM: whether a password is right, asked of the system. In a child of its own: a module may hang, leak or crash."""

from __future__ import annotations

import ctypes
import pwd
import signal
import time
from collections import OrderedDict
from typing import Any

from aen.errors import TooMany, Unavailable

CHECK_SECONDS = 15  # a directory service may be slow; what takes longer is killed
_SUCCESS, _BUF_ERR, _CONV_ERR = 0, 5, 19
_SYSTEM_FAULTS = frozenset(
    {1, 2, 3, 4, 5, 9, 26, 28, 29, 30, 31}
)  # not a word about the password: modules, memory, files
_DISALLOW_NULL = 0x1
_PROMPT_HIDDEN, _PROMPT_SHOWN = 1, 2
_ITEM_FAIL_DELAY = 10
_BURST, _EVERY_SECONDS = 8, 5.0  # tries of one name: so many at once, then one in so many seconds
_ALL_BURST, _ALL_EVERY_SECONDS = 200, 0.05
_MOST_NAMES = 10_000
_LOWEST_UID = 1000


class Tries:
    """How often passwords may be tried: the server limits too, but a server that was taken over must not guess either."""

    def __init__(self) -> None:
        self._full: OrderedDict[str, float] = OrderedDict()  # name → when its bucket is full again

    def take(self, user: str) -> None:
        """One try. Raises TooMany."""
        now = time.monotonic()
        self._one("", now, _ALL_BURST, _ALL_EVERY_SECONDS)
        self._one(user, now, _BURST, _EVERY_SECONDS)
        while len(self._full) > _MOST_NAMES:
            self._full.popitem(last=False)

    def _one(self, key: str, now: float, burst: int, every: float) -> None:
        full = max(self._full.pop(key, now), now) + every
        over = full - now - burst * every
        self._full[key] = full - every if over > 0 else full
        if over > 0:
            raise TooMany("Too many passwords were tried. Wait a little.", retry_after=round(over) + 1)


def may_sign_in(user: str, service_uid: int) -> bool:
    """Whether that is an account of a person at all: root, system accounts and our own are nobody's to sign in with."""
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return False
    return uid >= _LOWEST_UID and uid != service_uid


def check(service: str, user: str, password: str) -> bool:
    """Ask PAM, in this process: True if the password is right and the account may be used now.

    Raises Unavailable when PAM could not tell. Ends the process when it takes longer than CHECK_SECONDS.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(CHECK_SECONDS)
    try:
        pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
    except OSError:
        raise Unavailable("There is no PAM on this machine (libpam.so.0).") from None
    answerer = _Answerer(libc, password.encode())
    handle = ctypes.c_void_p()
    code = pam.pam_start(service.encode(), user.encode(), ctypes.byref(answerer.conversation), ctypes.byref(handle))
    if code != _SUCCESS:
        raise _cannot_tell(service, code)
    try:
        # Its pause after a wrong password would hold up the next person: tries are limited above.
        pam.pam_set_item(handle, _ITEM_FAIL_DELAY, answerer.no_delay)
        code = pam.pam_authenticate(handle, _DISALLOW_NULL)
        if code == _SUCCESS:
            code = pam.pam_acct_mgmt(handle, _DISALLOW_NULL)
    finally:
        pam.pam_end(handle, code)
    if code in _SYSTEM_FAULTS:
        raise _cannot_tell(service, code)
    return bool(code == _SUCCESS)


def _cannot_tell(service: str, code: int) -> Unavailable:
    return Unavailable(
        f"PAM could not check the password (service {service}, error {code}). Look at /etc/pam.d/{service} and its log."
    )


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_CONVERSE = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)
_DELAY = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _CONVERSE), ("data", ctypes.c_void_p))


class _Answerer:
    """Says the password to the one hidden question; any other question (a second factor) gets no answer."""

    def __init__(self, libc: Any, password: bytes) -> None:
        libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
        libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        libc.strdup.argtypes = [ctypes.c_char_p]
        self._libc, self._password, self._asked = libc, password, 0
        self.conversation = _Conversation(_CONVERSE(self._converse), None)
        self.no_delay = _DELAY(lambda code, micros, data: None)

    def _converse(self, count: int, messages: Any, answers: Any, data: Any) -> int:
        """What modules ask; PAM frees the answers, so they are made by its allocator."""
        block = self._libc.calloc(count, ctypes.sizeof(_Response))
        if not block:
            return _BUF_ERR
        made = ctypes.cast(block, ctypes.POINTER(_Response))
        for number in range(count):
            style = messages[number].contents.style
            self._asked += style in (_PROMPT_HIDDEN, _PROMPT_SHOWN)
            if style == _PROMPT_SHOWN or self._asked > 1:
                return _CONV_ERR
            if style == _PROMPT_HIDDEN:
                made[number].text = self._libc.strdup(self._password)
        answers[0] = block
        return _SUCCESS
