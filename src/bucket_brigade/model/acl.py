"""Which access control lists open an object to everybody."""

from __future__ import annotations

from urllib.parse import unquote

from bucket_brigade.model.job import ObjectAttributes

PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
"""Canned ones. ``authenticated-read`` too: every AWS account in the world is authenticated."""

_PUBLIC_GROUPS = ("groups/global/allusers", "groups/global/authenticatedusers")
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
