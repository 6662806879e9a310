"""Words: what went wrong, as a sentence for people, and names of files as a page may show them."""

from __future__ import annotations

import errno
import unicodedata

from aen_languages import N_


class Trouble(Exception):
    """Something a person should be told. `more` goes into the answer as it is."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


_SAID: dict[int, tuple[int, str, str]] = {
    errno.ENOSPC: (
        507,
        "disk-full",
        N_("The disk is full. Remove what is not needed (the trash counts too), then try again."),
    ),
    errno.EDQUOT: (
        507,
        "disk-full",
        N_("Your space on this disk is used up. Remove what is not needed, then try again."),
    ),
    errno.EFBIG: (413, "too-large", N_("The file is larger than this disk can hold.")),
    errno.EACCES: (
        403,
        "denied",
        N_("You have no right to do this here. Ask the owner, or a maintainer of the project."),
    ),
    errno.EPERM: (403, "denied", N_("Only the owner may do this.")),
    errno.EROFS: (403, "read-only", N_("This disk can only be read.")),
    errno.ENOENT: (404, "gone", N_("It is not there any more. Perhaps somebody moved or deleted it.")),
    errno.ENOTDIR: (404, "gone", N_("It is no folder (any more).")),
    errno.ELOOP: (409, "link", N_("There is a link on the way. Open what it leads to instead.")),
    errno.EEXIST: (409, "exists", N_("There is something of that name already.")),
    errno.ENOTEMPTY: (409, "exists", N_("There is a folder of that name already, and it is not empty.")),
    errno.EISDIR: (409, "folder", N_("It is a folder.")),
    errno.ENAMETOOLONG: (400, "name", N_("The name is too long: 255 bytes at most.")),
    errno.EXDEV: (409, "other-disk", N_("It lies on another disk: copy it there, then delete it here.")),
    errno.EBUSY: (409, "busy", N_("It is in use by the system.")),
    errno.ETXTBSY: (409, "busy", N_("It is a program that runs now.")),
    errno.ENXIO: (409, "no-file", N_("It is no file.")),  # a pipe or a socket
    errno.EMFILE: (503, "busy", N_("Too much is open at once. Try again in a moment.")),
    errno.EIO: (500, "disk", N_("The disk reports an error. Tell an administrator.")),
    errno.ESTALE: (404, "gone", N_("It is not there any more. Perhaps somebody moved or deleted it.")),
}


def trouble(error: OSError) -> Trouble:
    """An error of the file system in plain words."""
    number = error.errno or 0
    if number not in _SAID:
        return Trouble(500, "failed", f"That did not work: {error.strerror or error}.")
    return Trouble(*_SAID[number])


def shown(name: bytes) -> str:
    """A name for the page: what is not text, moves the cursor or changes the direction of reading is spelled out."""
    text = name.decode("utf-8", errors="backslashreplace")
    if text.isascii() and text.isprintable():  # most are, and some folders hold a million
        return text
    return "".join(_visible(sign) for sign in text)


def _visible(sign: str) -> str:
    if sign in "\u200c\u200d" or unicodedata.category(sign) not in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return sign
    code = ord(sign)
    if code < 0x20:
        return chr(0x2400 + code)  # ␊ for a newline
    return f"\\u{code:04x}"
