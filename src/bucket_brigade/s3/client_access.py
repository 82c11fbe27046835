"""What belongs to an object besides its bytes, through the aioboto3 client: tags, access control, locks, restoring."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bucket_brigade.errors import Conflict, PermanentError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.calls import Caller
from bucket_brigade.s3.store import Acl, Grant

_RESTORING = "RestoreAlreadyInProgress"


class AccessCalls(Caller):
    """The operations of ``Store`` on tags, access control lists, locks and archived objects; their contracts are stated there."""

    async def put_object_tags(
        self, bucket: str, key: str, tags: tuple[tuple[str, str], ...], *, version_id: str | None = None
    ) -> None:
        """Replace all tags of an object."""
        params = _named(bucket, key, version_id)
        params["Tagging"] = {"TagSet": [{"Key": name, "Value": value} for name, value in tags]}
        await self.call("PutObjectTagging", params)

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> Acl:
        """Return who may do what with the object."""
        params = _named(bucket, key, version_id)
        answer = await self.call("GetObjectAcl", params)
        if "Owner" not in answer and "Grants" not in answer:
            raise self.unproven("GetObjectAcl", params, answer, "with a page that is no access control list")
        return Acl(
            answer.get("Owner", {}).get("ID", ""), tuple(_grant_from(grant) for grant in answer.get("Grants", ()))
        )

    async def put_object_acl(self, bucket: str, key: str, acl: Acl | str, *, version_id: str | None = None) -> None:
        """Replace the object's access control list."""
        params = _named(bucket, key, version_id)
        if isinstance(acl, str):
            params["ACL"] = acl
        else:
            params["AccessControlPolicy"] = {
                "Owner": {"ID": acl.owner},
                "Grants": [_grant_to(grant) for grant in acl.grants],
            }
        await self.call("PutObjectAcl", params)

    async def put_object_lock(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        """Set the retention and the legal hold of an object, those that are given."""
        if attributes.lock_mode is not None and attributes.retain_until is not None:
            params = _named(bucket, key, version_id)
            params["Retention"] = {
                "Mode": attributes.lock_mode,
                "RetainUntilDate": datetime.fromisoformat(attributes.retain_until),
            }
            if bypass_governance:
                params["BypassGovernanceRetention"] = True
            await self.call("PutObjectRetention", params)
        if attributes.legal_hold is not None:
            params = _named(bucket, key, version_id)
            params["LegalHold"] = {"Status": attributes.legal_hold}
            await self.call("PutObjectLegalHold", params)

    async def restore_object(
        self, bucket: str, key: str, *, days: int, tier: str | None = None, version_id: str | None = None
    ) -> None:
        """Ask for an archived object to be readable for ``days`` days."""
        params = _named(bucket, key, version_id)
        params["RestoreRequest"] = {"Days": days}
        if tier is not None:
            params["RestoreRequest"]["GlacierJobParameters"] = {"Tier": tier}
        try:
            await self.call("RestoreObject", params)
        except (PermanentError, Conflict) as error:
            if error.code != _RESTORING:
                raise


def _named(bucket: str, key: str, version_id: str | None) -> dict[str, Any]:
    params = {"Bucket": bucket, "Key": key}
    if version_id is not None:
        params["VersionId"] = version_id
    return params


def _grant_from(grant: dict[str, Any]) -> Grant:
    grantee = grant.get("Grantee", {})
    return Grant(
        grant.get("Permission", ""), grantee.get("ID", ""), grantee.get("URI", ""), grantee.get("EmailAddress", "")
    )


def _grant_to(grant: Grant) -> dict[str, Any]:
    if grant.uri:
        grantee = {"Type": "Group", "URI": grant.uri}
    elif grant.email:
        grantee = {"Type": "AmazonCustomerByEmail", "EmailAddress": grant.email}
    else:
        grantee = {"Type": "CanonicalUser", "ID": grant.id}
    return {"Grantee": grantee, "Permission": grant.permission}
