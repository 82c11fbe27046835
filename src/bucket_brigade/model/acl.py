"""Which access control lists open an object to everybody."""

from __future__ import annotations

import re
from urllib.parse import unquote

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import ObjectAttributes

PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
"""Canned ones. ``authenticated-read`` too: every AWS account in the world is authenticated."""

_PUBLIC_GROUPS = ("groups/global/allusers", "groups/global/authenticatedusers")
_GRANTEE = re.compile(r"""\s*(id|uri|emailaddress)\s*=\s*("[^"]*"|'[^']*'|[^,"']+)\s*(?:,|\Z)""", re.IGNORECASE)
_GRANTS = ("grant_full_control", "grant_read", "grant_read_acp", "grant_write_acp")


def is_public_grantee(grantee: str) -> bool:
    """Say whether a grantee (an id, a URI, or a whole grant header) is, or holds, a group of everybody."""
    return any(group in unquote(grantee).lower() for group in _PUBLIC_GROUPS)


def public_access(attributes: ObjectAttributes) -> str | None:
    """Return what in the attributes opens an object to everybody, as the flag that says it; None where nothing does."""
    if attributes.acl is not None and attributes.acl.strip().lower() in PUBLIC_ACLS:
        return f"--acl {attributes.acl}"
    for name in _GRANTS:
        grants = getattr(attributes, name)
        if grants is not None and is_public_grantee(grants):
            return f"--{name.replace('_', '-')} {grants}"
    return None


def parse_grants(text: str) -> list[dict[str, str]]:
    """Return the grantees of a grant header, ``id="…", uri="…"``: one of ``id``, ``uri`` and ``email`` each.

    Raises:
        ConfigError: it is no such list.
    """
    grantees: list[dict[str, str]] = []
    position = 0
    while position < len(text):
        match = _GRANTEE.match(text, position)
        if match is None:
            raise ConfigError(f"{text!r} is no list of grantees", remedy='Write it as id="…" or uri="…", with commas.')
        kind = match[1].lower().replace("emailaddress", "email")
        grantees.append({kind: match[2].strip().strip("\"'")})
        position = match.end()
    return grantees
