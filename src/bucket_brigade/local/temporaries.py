"""Names of temporary files: recognisable, and by whose job they were made, so that nobody removes another's."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import secrets
from collections.abc import Generator

from bucket_brigade.errors import LocalError, PlanError
from bucket_brigade.local.oserrors import translate
from bucket_brigade.local.scan import LocalEntry, scan_tree
from bucket_brigade.local.sources import SourceFolder
from bucket_brigade.model.transfer import Refused

_MAX_NAME_BYTES = 255
_sessions: list[str] = []
_numbers = itertools.count()
_TEMPORARY = re.compile(r"\..*\.brigade-([0-9a-f]{8})-[0-9a-f]{9,}", re.DOTALL)


def _begin_session() -> None:
    _sessions[:] = [f"{secrets.token_hex(4)}{os.getpid():x}"]


_begin_session()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_session)  # two processes with one session would make the same names


def job_tag(job_id: str) -> str:
    """Return the eight hexadecimal digits that stand for a job in the names of its temporary files."""
    return hashlib.blake2s(job_id.encode(), digest_size=4).hexdigest()


def temporary_name(name: str, tag: str) -> str:
    """Return a new name, of at most 255 bytes, for a file that will be ``name``: ``.{name}.brigade-{tag}-{random}``."""
    ending = f".brigade-{tag}-{_sessions[0]}{next(_numbers):x}"
    room = _MAX_NAME_BYTES - 1 - len(ending)
    if len(name) > room // 4 and len(name.encode()) > room:
        name = name.encode()[:room].decode(errors="ignore")
    return f".{name}{ending}"


def is_temporary(name: str, tag: str) -> bool:
    """Return whether ``name`` is one that ``temporary_name`` gives for this tag."""
    match = _TEMPORARY.fullmatch(name)
    return match is not None and match[1] == tag


def find_stale_temporaries(folder: str, tag: str) -> Generator[str]:
    """Yield the paths, below ``folder``, of all temporary files of the job, in its whole tree. Links are not followed.

    To be asked after a crash, while no worker of the job runs: those of a living one look the same. Memory is that of a walk.

    Raises:
        LocalError: the folder cannot be listed.
    """
    try:
        with contextlib.closing(scan_tree(folder)) as entries:
            for entry in entries:
                path = _path_of(entry)
                if is_temporary(path[path.rfind("/") + 1 :], tag):
                    yield path
    except PlanError as exc:
        raise LocalError(str(exc), remedy=exc.remedy) from exc


def _path_of(entry: LocalEntry | Refused) -> str:
    """Return the path of a plain file, else nothing; what is too long for a key may be the temporary of one that is not."""
    if isinstance(entry, LocalEntry):
        return entry.path
    return entry.source if entry.code == "KeyTooLong" else ""


def remove_stale_temporaries(folder: str, tag: str) -> int:
    """Remove what ``find_stale_temporaries`` finds, and return how many there were.

    Raises:
        LocalError: the folder cannot be listed, or one cannot be removed.
    """
    removed = 0
    with SourceFolder(folder) as root, contextlib.closing(find_stale_temporaries(folder, tag)) as paths:
        for path in paths:
            parent, name = root.locate(path)  # never through a link, should the tree change meanwhile
            try:
                os.unlink(name.encode(), dir_fd=parent.fd)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise translate(exc, f"remove the temporary file {path!r}") from exc
            removed += 1
    return removed
