"""The SQL of the journal, read from ``schema.sql`` and ``queries.sql`` beside this module."""

from __future__ import annotations

import re
from importlib import resources

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?);$", re.MULTILINE | re.DOTALL)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


SCHEMA = _read("schema.sql")
QUERIES: dict[str, str] = dict(_NAMED.findall(_read("queries.sql")))
