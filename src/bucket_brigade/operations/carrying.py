"""Carries an object's attributes to the object written from it: reads what a HEAD does not tell, and deals with refusals.

What the target refuses of what is preserved by default (or by ``all``) is left out and noted; what the user named fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from bucket_brigade.errors import AccessDenied, NotHonoured, NotSupported, PermanentError
from bucket_brigade.model.job import ObjectAttributes as Attributes
from bucket_brigade.model.job import TransferOptions
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.access import AclCarrier, without_everybody
from bucket_brigade.operations.attributes import FIELDS, Carried, Preserve, Restater, grants_of, replaces_metadata
from bucket_brigade.operations.honouring import amend, dropped, look_at_kept, must_look, withdrawn
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.operations.tags import TagReader
from bucket_brigade.s3.echo import names_of
from bucket_brigade.s3.store import ObjectHead, Written

Result = TypeVar("Result")

_DROPPED_IN_ORDER = ("lock", "encryption", "storage-class", "website-redirect", "tags")
_CULPRITS = {
    "InvalidStorageClass": "storage-class",
    "InvalidTag": "tags",
    "ObjectLockConfigurationNotFoundError": "lock",
    "InvalidEncryptionAlgorithmError": "encryption",
    "KMSNotConfigured": "encryption",
    "NotHonoured": "encryption",
}


class Carrier:
    """Of one stage that writes objects from objects.

    Args:
        source, target: the two buckets.
        options: the job's; what it asks for itself is never left out.
        same_service: both are seen through one endpoint.
    """

    def __init__(self, source: BucketSide, target: BucketSide, options: TransferOptions, *, same_service: bool) -> None:
        self.preserve = Preserve.of(options)
        self.asked = options.attributes
        self._source = source
        self._target = target
        self._tags = TagReader(source)
        self._allow_public = options.allow_public_acl
        self._acls = AclCarrier(source, target, same_service=same_service)
        self._unsupported: set[str] = set()
        self._restater = Restater(self.asked, self.preserve, same_service=same_service)
        self.copies_plainly = self.preserve.is_what_copies_keep and not replaces_metadata(self.asked)
        """CopyObject by itself does what is asked for: no HEAD of the source is needed."""

    async def plainly(self, transfer: Transfer) -> Carried:
        """Return what a copy gets that ``copies_plainly``."""
        carried = Carried(self.asked, notes=[])
        await self._add_acl(transfer, carried)
        self._demand_nothing_missing(carried, transfer)
        return carried

    async def restated(self, transfer: Transfer, head: ObjectHead, *, with_tags: bool = True) -> Carried:
        """Return all that the new object must get, tags too (unless the server carries them).

        Raises TransferError where something that the user named cannot be read.
        """
        carried = self._restater.of(head)
        if with_tags and "tags" in self.preserve.names and self.asked.tagging is None:
            await self._add_tags(transfer, head, carried)
        await self._add_acl(transfer, carried)
        self._demand_nothing_missing(carried, transfer)
        for name in self._unsupported:
            self._leave_out(carried, name, "the target does not support it")
        return carried

    async def _add_tags(self, transfer: Transfer, head: ObjectHead, carried: Carried) -> None:
        try:
            tags = await self._tags.read(transfer, head)
        except AccessDenied as error:
            carried.notes.append(f"the tags, which could not be read ({error.code})")
            return
        if tags:
            carried.attributes = msgspec.structs.replace(carried.attributes, tagging=tags)
            carried.wished |= {"tagging"}

    async def _add_acl(self, transfer: Transfer, carried: Carried) -> None:
        if "acl" not in self.preserve.names or self.asked.acl is not None or grants_of(self.asked):
            return
        try:
            acl = await self._acls.read(transfer)
        except (AccessDenied, NotSupported) as error:
            carried.notes.append(f"the acl, which could not be read ({error.code})")
            return
        carried.acl = acl
        if acl is not None and not self._allow_public and (private := without_everybody(acl)) != acl:
            carried.acl = private
            carried.notes.append("the access of everybody, which needs --allow-public-acl,")

    def _demand_nothing_missing(self, carried: Carried, transfer: Transfer) -> None:
        if carried.notes and self.preserve.demanded:
            raise PermanentError(
                f"{transfer.source}: {'; '.join(carried.notes)} cannot be carried over.",
                code="NotCarried",
                remedy="Leave it out of --preserve.",
            )

    # --- writing -----------------------------------------------------------------------------------------------------

    async def write(self, carried: Carried, key: str, attempt: Callable[[Attributes], Awaitable[Result]]) -> Result:
        """Return ``await attempt(attributes)``, without what the target refuses of what is only wished.

        What was left out is in ``carried.notes`` afterwards. The error of the first attempt is raised where nothing helps.
        """
        try:
            return await attempt(carried.attributes)
        except PermanentError as error:
            first = await self._taken_back(key, error)
            if not self._may_concede(first):
                raise first from error
        for names in self._concessions(carried, first):
            lesser = msgspec.structs.replace(carried.attributes, **_emptied(names, carried))
            try:
                result = await attempt(lesser)
            except PermanentError as again:
                await self._taken_back(key, again)
                continue
            for name in names:
                self._leave_out(carried, name, f"the target refuses it: {first.code}")
                if isinstance(first, NotSupported):
                    self._unsupported.add(name)
            return result
        raise first

    async def _taken_back(self, key: str, error: PermanentError) -> PermanentError:
        if isinstance(error, NotHonoured):
            return await withdrawn(self._target.store, self._target.bucket, key, error)
        return error

    def _may_concede(self, error: PermanentError) -> bool:
        if self.preserve.demanded:
            return False
        return isinstance(error, AccessDenied | NotSupported | NotHonoured) or type(error) is PermanentError

    def _concessions(self, carried: Carried, error: PermanentError) -> list[tuple[str, ...]]:
        """Return what to leave out, attempt by attempt: what the error names, else each alone, else all."""
        present = [name for name in _DROPPED_IN_ORDER if _wished_fields(name, carried)]
        named = _CULPRITS.get(error.code) or ("encryption" if error.code.startswith("KMS") else "")
        if not named and "lock" in str(error).lower():
            named = "lock"
        if named in present:
            present.remove(named)
            present.insert(0, named)
        alone: list[tuple[str, ...]] = [(name,) for name in present]
        return alone if len(present) < 2 else [*alone, tuple(present)]

    def _leave_out(self, carried: Carried, name: str, reason: str) -> None:
        fields = _wished_fields(name, carried)
        if fields:
            carried.attributes = msgspec.structs.replace(carried.attributes, **dict.fromkeys(fields))
            carried.wished -= fields
            carried.notes.append(f"{name} ({reason})")

    # --- after the write ---------------------------------------------------------------------------------------------

    async def finish(self, carried: Carried, transfer: Transfer, written: Written, *, in_parts: bool = False) -> str:
        """Make sure of what no answer confirms, carry the access control list over, and return the note of the outcome.

        Raises:
            NotHonoured: the store dropped what the job asks for, or what the user named; the object is removed again.
            TransferError: the access control list, named by the user, cannot be set; the object stays.
        """
        if in_parts:
            await amend(self._target.store, self._target.bucket, transfer.target, written, carried.attributes)
        if carried.customer_key or must_look(carried.attributes, in_parts=in_parts):
            await self._look(carried, transfer, written)
        if carried.acl is not None:
            try:
                carried.notes += await self._acls.set(carried.acl, transfer.target, written)
            except PermanentError as error:
                if self.preserve.demanded:
                    raise
                carried.notes.append(f"acl (the target refuses it: {error.code})")
            self._demand_nothing_missing(carried, transfer)
        return carried.note

    async def _look(self, carried: Carried, transfer: Transfer, written: Written) -> None:
        store, bucket, key = self._target.store, self._target.bucket, transfer.target
        head, missing = await look_at_kept(store, bucket, key, written, carried.attributes)
        if carried.customer_key and not head.sse_customer_key_md5:
            missing.append("encryption with the customer's key")
        wished = [name for name in missing if getattr(self.asked, name, None) is None]
        if len(wished) < len(missing) or (wished and self.preserve.demanded):
            raise await withdrawn(store, bucket, key, dropped(bucket, key, written, missing))
        if wished:
            carried.notes.append(f"{names_of(wished)} (the target does not keep it)")


def _wished_fields(name: str, carried: Carried) -> frozenset[str]:
    return carried.wished & frozenset(FIELDS[name])


def _emptied(names: tuple[str, ...], carried: Carried) -> dict[str, None]:
    return dict.fromkeys(field for name in names for field in _wished_fields(name, carried))
