"""Carries access control lists from object to object, as far as those they name mean something at the target."""

from __future__ import annotations

from bucket_brigade.model.acl import is_public_grantee, parse_grants
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.store import Acl, Grant, Written

GRANT_FIELDS = {
    "grant_full_control": "FULL_CONTROL",
    "grant_read": "READ",
    "grant_read_acp": "READ_ACP",
    "grant_write_acp": "WRITE_ACP",
}
"""The attributes that grant access -> the permissions."""


class AclCarrier:
    """Reads the list of a source and sets it at its target; a list that only lets the owner in costs one request."""

    def __init__(self, source: BucketSide, target: BucketSide, *, same_service: bool) -> None:
        self._source = source
        self._target = target
        self._same_service = same_service

    async def read(self, transfer: Transfer) -> Acl | None:
        """Return the source's list, None where it only lets the owner in. Before the write, which may replace the source."""
        bucket = transfer.source_bucket or self._source.bucket
        acl = await self._source.store.get_object_acl(bucket, transfer.source, version_id=transfer.version_id)
        return acl if shared_grants(acl) else None

    async def set(self, acl: Acl, key: str, written: Written) -> list[str]:
        """Set a source's list on the object written, and look at it again; return what of it could not be carried over."""
        store, bucket = self._target.store, self._target.bucket
        version_id = None if written.version_id == "null" else written.version_id
        present = await store.get_object_acl(bucket, key, version_id=version_id)
        mapped, lost = mapped_acl(acl, present.owner, same_service=self._same_service)
        if shared_grants(mapped):
            await store.put_object_acl(bucket, key, mapped, version_id=version_id)
            kept = await store.get_object_acl(bucket, key, version_id=version_id)
            if not set(shared_grants(mapped)) <= set(kept.grants):
                lost.append("the acl, which the target does not keep")
        return lost


def without_everybody(acl: Acl) -> Acl:
    """Return the list without the grants to everybody."""
    return Acl(acl.owner, tuple(grant for grant in acl.grants if not is_public_grantee(grant.uri)))


def shared_grants(acl: Acl) -> list[Grant]:
    """Return the grants to others than the owner."""
    return [grant for grant in acl.grants if grant.uri or grant.email or grant.id != acl.owner]


def asked_acl(asked: ObjectAttributes, owner: str) -> Acl | str:
    """Return the list that a job asks for: a canned one, or the grants that it names, under the object's owner."""
    if asked.acl is not None:
        return asked.acl
    grants = (
        Grant(permission, **grantee)
        for field, permission in GRANT_FIELDS.items()
        for grantee in parse_grants(getattr(asked, field) or "")
    )
    return Acl(owner, tuple(grants))


def mapped_acl(source: Acl, owner: str, *, same_service: bool) -> tuple[Acl, list[str]]:
    """Return the list for an object of ``owner``, and what of the source's list has no meaning there, a phrase each.

    The owner takes the place of the source's owner; groups are the same everywhere; others are known only within one service.
    """
    grants: list[Grant] = []
    lost: list[str] = []
    for grant in source.grants:
        if grant.uri or grant.email:
            grants.append(grant)
        elif grant.id == source.owner:
            grants.append(Grant(grant.permission, id=owner))
        elif same_service:
            grants.append(grant)
        else:
            lost.append(f"{grant.permission} for the account {grant.id[:16]}, which the target's service does not know")
    return Acl(owner, tuple(grants)), lost
