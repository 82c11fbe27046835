"""How buckets are configured, through the aioboto3 client: the control port beside the store's data port.

Jobs do not need it: it serves ``mb``, ``rb``, ``bucket``, ``doctor`` and the look at what a public access control list would
meet. Errors are those of the store (``bucket_brigade.errors``), and so are the retries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bucket_brigade.errors import ConfigError, NotHonoured, NotSupported, PermanentError, TransferError
from bucket_brigade.s3.bucket_values import (
    BucketChanges,
    BucketInfo,
    Encryption,
    ObjectLock,
    Ownership,
    PublicAccessBlock,
    Versioning,
)
from bucket_brigade.s3.calls import Answer, Caller
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.lifecycle import abort_days, unknown_elements, with_aborting_rule
from bucket_brigade.s3.retry import Retrier
from bucket_brigade.s3.session import DEFAULT_REGION, Client, open_client
from bucket_brigade.s3.xml_tree import MalformedXml, parse_document
from bucket_brigade.settings.values import EndpointSettings, RetrySettings

_CONNECTIONS = 8
_RAW = "RawDocument"

_DOCUMENTS = {
    "GetBucketVersioning": "VersioningConfiguration",
    "GetPublicAccessBlock": "PublicAccessBlockConfiguration",
    "GetBucketOwnershipControls": "OwnershipControls",
    "GetBucketEncryption": "ServerSideEncryptionConfiguration",
    "GetObjectLockConfiguration": "ObjectLockConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketTagging": "Tagging",
}
"""The root of each answer. A store that does not know a setting may answer with a listing, and 200."""

_ABSENT = {
    "GetBucketVersioning": set[str](),
    "GetPublicAccessBlock": {"NoSuchPublicAccessBlockConfiguration"},
    "GetBucketOwnershipControls": {"OwnershipControlsNotFoundError"},
    "GetBucketEncryption": {"ServerSideEncryptionConfigurationNotFoundError"},
    "GetObjectLockConfiguration": {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"},
    "GetBucketLifecycleConfiguration": {"NoSuchLifecycleConfiguration"},
    "GetBucketTagging": {"NoSuchTagSet", "NoSuchTagSetError"},
}
"""What a store answers, as an error, where a bucket simply has no such setting."""


class BucketControl(Caller):
    """Reads and writes the configuration of buckets. Each method raises TransferError as those of ``Store`` do.

    Args:
        client: open, as ``s3.session.open_client`` gives it.
        endpoint: its settings.
        retry: how often a failed request is tried again.
    """

    operations = (
        "CreateBucket",
        *_DOCUMENTS,
        "DeleteBucketLifecycle",
        "DeleteBucketTagging",
        "HeadBucket",
        "PutBucketEncryption",
        "PutBucketLifecycleConfiguration",
        "PutBucketOwnershipControls",
        "PutBucketTagging",
        "PutBucketVersioning",
        "PutPublicAccessBlock",
    )

    def __init__(self, client: Client, endpoint: EndpointSettings, retry: RetrySettings) -> None:
        super().__init__(client, endpoint)
        self._retrier = Retrier(retry, Governor())
        for operation in _DOCUMENTS:
            client.meta.events.register(f"after-call.s3.{operation}", _keep_document)

    @property
    def endpoint_url(self) -> str:
        """Where the requests go."""
        url: str = self._client.meta.endpoint_url
        return url

    @property
    def authorities(self) -> str | None:
        """The PEM file that certificates are verified with; None for those of the system."""
        bundle = self._client._endpoint.http_session._verify  # noqa: SLF001 - after AWS_CA_BUNDLE and the profile had their say
        return bundle if isinstance(bundle, str) else None

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        region: str = self._client.meta.region_name
        return region

    async def call(self, operation: str, params: dict[str, Any], *, pinned: bool = False) -> Answer:
        """Send one request, again where its error says that it may succeed."""
        return await self._retrier.run(super().call, operation, params, pinned=pinned)

    # --- reading -------------------------------------------------------------------------------------------------

    async def info(self, bucket: str) -> BucketInfo:
        """Return how a bucket is configured; what may not be read is told in ``unknown``. A missing bucket is NotFound."""
        answer = await self.call("HeadBucket", {"Bucket": bucket})
        readers: dict[str, Callable[[str], Awaitable[Any]]] = {
            "versioning": self.versioning,
            "object_lock": self.object_lock,
            "encryption": self.encryption,
            "public_access_block": self.public_access_block,
            "ownership": self.ownership,
            "lifecycle_rules": self._lifecycle_rules,
            "tags": self.tags,
        }
        found: dict[str, Any] = {}
        unknown: dict[str, str] = {}

        async def read(name: str) -> None:
            try:
                found[name] = await readers[name](bucket)
            except PermanentError as error:
                unknown[name] = error.code

        await asyncio.gather(*map(read, readers))
        rules = found.pop("lifecycle_rules", [])
        return BucketInfo(
            name=bucket,
            region=answer.get("BucketRegion", ""),
            abort_uploads_days=abort_days(rules),
            lifecycle_rules=len(rules),
            unknown=unknown,
            **found,
        )

    async def versioning(self, bucket: str) -> Versioning:
        """Return whether the bucket keeps old versions."""
        answer = await self._setting("GetBucketVersioning", bucket)
        return Versioning(answer.get("Status", Versioning.NEVER).lower())

    async def public_access_block(self, bucket: str) -> PublicAccessBlock:
        """Return the bucket's own Block Public Access; that of its account may block more."""
        answer = await self._setting("GetPublicAccessBlock", bucket)
        return public_access_block_of(answer.get("PublicAccessBlockConfiguration", {}))

    async def ownership(self, bucket: str) -> Ownership | None:
        """Return who owns what is written; a bucket without the setting is as before there was one: its writer."""
        answer = await self._setting("GetBucketOwnershipControls", bucket)
        rules = answer.get("OwnershipControls", {}).get("Rules") or [{"ObjectOwnership": Ownership.WRITER}]
        return Ownership(rules[0]["ObjectOwnership"])

    async def encryption(self, bucket: str) -> Encryption | None:
        """Return the encryption of objects that are written without naming one."""
        answer = await self._setting("GetBucketEncryption", bucket)
        for rule in answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ()):
            default = rule.get("ApplyServerSideEncryptionByDefault", {})
            if default:
                return Encryption(
                    algorithm=default.get("SSEAlgorithm", ""),
                    kms_key_id=default.get("KMSMasterKeyID", ""),
                    bucket_key=bool(rule.get("BucketKeyEnabled")),
                )
        return None

    async def object_lock(self, bucket: str) -> ObjectLock | None:
        """Return the default retention of new objects; None where object lock is not enabled."""
        answer = await self._setting("GetObjectLockConfiguration", bucket)
        lock = answer.get("ObjectLockConfiguration", {})
        if lock.get("ObjectLockEnabled") != "Enabled":
            return None
        default = lock.get("Rule", {}).get("DefaultRetention", {})
        return ObjectLock(
            mode=default.get("Mode", ""), days=int(default.get("Days") or 0), years=int(default.get("Years") or 0)
        )

    async def tags(self, bucket: str) -> tuple[tuple[str, str], ...]:
        """Return the bucket's tags."""
        answer = await self._setting("GetBucketTagging", bucket)
        return tuple((tag["Key"], tag["Value"]) for tag in answer.get("TagSet", ()))

    async def _lifecycle_rules(self, bucket: str) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = (await self._setting("GetBucketLifecycleConfiguration", bucket)).get("Rules", [])
        return rules

    async def _setting(self, operation: str, bucket: str) -> Answer:
        """Return the answer, an empty one where the bucket has no such setting. NotSupported where the store has none."""
        try:
            answer = await self.call(operation, {"Bucket": bucket})
        except PermanentError as error:
            if error.code in _ABSENT[operation]:
                return {}
            raise
        if not _is_document(answer.get(_RAW, b""), _DOCUMENTS[operation]):
            raise NotSupported(f"{operation} {self.location(bucket)}: the endpoint does not know this setting")
        return answer

    # --- writing -------------------------------------------------------------------------------------------------

    async def create(
        self, bucket: str, *, region: str | None = None, ownership: Ownership | None = None, object_lock: bool = False
    ) -> None:
        """Create a bucket, in the endpoint's region unless ``region`` names another.

        One that is ours already is a PermanentError with code BucketAlreadyOwnedByYou, where the store says so.
        """
        params: dict[str, Any] = {"Bucket": bucket}
        chosen = region or self.region
        if chosen != DEFAULT_REGION:  # the one region that S3 does not take by name
            params["CreateBucketConfiguration"] = {"LocationConstraint": chosen}
        if ownership is not None:
            params["ObjectOwnership"] = ownership
        if object_lock:
            params["ObjectLockEnabledForBucket"] = True
        tried = False

        async def attempt() -> None:
            nonlocal tried
            again, tried = tried, True
            try:
                await Caller.call(self, "CreateBucket", params)
            except PermanentError as error:
                # After a first attempt whose answer was lost, this is our own success.
                if not again or error.code != "BucketAlreadyOwnedByYou":
                    raise

        await self._retrier.run(attempt)

    async def change(self, bucket: str, changes: BucketChanges) -> list[str]:
        """Make the changes, one after the other, and return the names of the settings that were changed.

        Raises:
            TransferError: one was refused; a note of the error (``__notes__``) names it and those that were changed before it.
                NotHonoured where the endpoint says yes and does not know the setting.
            ConfigError: the bucket has lifecycle rules that cannot be kept as they are.
        """
        steps: list[tuple[str, object, Callable[[str, Any], Awaitable[None]], Callable[[str], Awaitable[object]]]] = [
            (
                "public_access_block",
                changes.public_access_block,
                self.set_public_access_block,
                self.public_access_block,
            ),
            ("ownership", changes.ownership, self.set_ownership, self.ownership),
            ("encryption", changes.encryption, self.set_encryption, self.encryption),
            ("versioning", changes.versioning, self.set_versioning, self.versioning),
            ("abort_uploads_days", changes.abort_uploads_days, self.set_abort_uploads_days, self._lifecycle_rules),
            ("tags", changes.tags, self.set_tags, self.tags),
        ]
        done: list[str] = []
        for name, value, write, read in steps:
            if value is None:
                continue
            try:
                await write(bucket, value)
                await self._check_is_known(bucket, name, read)
            except TransferError as error:
                error.add_note(f"{name} was refused" + (f"; {', '.join(done)} had been changed" if done else ""))
                raise
            done.append(name)
        return done

    async def _check_is_known(self, bucket: str, name: str, read: Callable[[str], Awaitable[object]]) -> None:
        # The value itself is not compared: at AWS a new one may take a while to be seen.
        try:
            await read(bucket)
        except NotSupported as error:
            raise NotHonoured(f"{self.location(bucket)}: the endpoint takes {name} and does not know it") from error
        except PermanentError:
            return  # who may write need not be allowed to read

    async def set_versioning(self, bucket: str, versioning: Versioning) -> None:
        """Enable or suspend versioning."""
        status = versioning.value.capitalize()
        await self.call("PutBucketVersioning", {"Bucket": bucket, "VersioningConfiguration": {"Status": status}})

    async def set_public_access_block(self, bucket: str, block: PublicAccessBlock) -> None:
        """Replace the bucket's Block Public Access."""
        names = {
            "BlockPublicAcls": block.block_public_acls,
            "IgnorePublicAcls": block.ignore_public_acls,
            "BlockPublicPolicy": block.block_public_policy,
            "RestrictPublicBuckets": block.restrict_public_buckets,
        }
        await self.call("PutPublicAccessBlock", {"Bucket": bucket, "PublicAccessBlockConfiguration": names})

    async def set_ownership(self, bucket: str, ownership: Ownership) -> None:
        """Say who owns what is written from now on."""
        controls = {"Rules": [{"ObjectOwnership": ownership}]}
        await self.call("PutBucketOwnershipControls", {"Bucket": bucket, "OwnershipControls": controls})

    async def set_encryption(self, bucket: str, encryption: Encryption) -> None:
        """Replace the default encryption of new objects."""
        default = {"SSEAlgorithm": encryption.algorithm}
        if encryption.kms_key_id:
            default["KMSMasterKeyID"] = encryption.kms_key_id
        rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default}
        if encryption.bucket_key:
            rule["BucketKeyEnabled"] = True
        params = {"Bucket": bucket, "ServerSideEncryptionConfiguration": {"Rules": [rule]}}
        await self.call("PutBucketEncryption", params)

    async def set_abort_uploads_days(self, bucket: str, days: int) -> None:
        """Let the store abort uploads ``days`` days after they began; 0 removes our rule. All other rules stay as they are.

        Raises ConfigError where a rule holds something that could not be written back.
        """
        answer = await self._setting("GetBucketLifecycleConfiguration", bucket)
        self._check_rules_are_known(bucket, answer)
        rules = with_aborting_rule(answer.get("Rules", []), days)
        if not rules:
            await self.call("DeleteBucketLifecycle", {"Bucket": bucket})
            return
        params = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": rules}}
        # Left out, it would go back to its default, and change which objects the others' transitions move.
        if "TransitionDefaultMinimumObjectSize" in answer:
            params["TransitionDefaultMinimumObjectSize"] = answer["TransitionDefaultMinimumObjectSize"]
        await self.call("PutBucketLifecycleConfiguration", params)

    def _check_rules_are_known(self, bucket: str, answer: Answer) -> None:
        model = self._client.meta.service_model.operation_model("GetBucketLifecycleConfiguration")
        known = _element_names(model.output_shape) | {"LifecycleConfiguration"}
        strange = unknown_elements(answer[_RAW], known) if answer.get(_RAW) else []
        if strange:
            raise ConfigError(
                f"{bucket} has lifecycle rules with {', '.join(strange)}, which would be lost by adding a rule",
                remedy="Add the rule with the tools of this store: AbortIncompleteMultipartUpload for the whole bucket.",
            )

    async def set_tags(self, bucket: str, tags: tuple[tuple[str, str], ...]) -> None:
        """Replace the bucket's tags; none removes them."""
        if not tags:
            await self.call("DeleteBucketTagging", {"Bucket": bucket})
            return
        tag_set = [{"Key": name, "Value": value} for name, value in tags]
        await self.call("PutBucketTagging", {"Bucket": bucket, "Tagging": {"TagSet": tag_set}})


@contextlib.asynccontextmanager
async def open_bucket_control(
    endpoint: EndpointSettings, *, retry: RetrySettings | None = None
) -> AsyncIterator[BucketControl]:
    """Open the control port of an endpoint; its connections are closed at the end. Raises ConfigError as ``open_store``."""
    async with open_client(endpoint, max_connections=_CONNECTIONS) as client:
        yield BucketControl(client, endpoint, retry or RetrySettings())


def public_access_block_of(names: dict[str, Any]) -> PublicAccessBlock:
    """Return Block Public Access from S3's names of it."""
    return PublicAccessBlock(
        block_public_acls=bool(names.get("BlockPublicAcls")),
        ignore_public_acls=bool(names.get("IgnorePublicAcls")),
        block_public_policy=bool(names.get("BlockPublicPolicy")),
        restrict_public_buckets=bool(names.get("RestrictPublicBuckets")),
    )


def _element_names(shape: Any) -> set[str]:
    """Return the names of all elements that botocore knows in a document of this shape."""
    found: set[str] = set()
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            # A flattened list's elements carry the list's own name.
            found |= {member.serialization.get("name", name)} | _element_names(member)
    elif shape.type_name == "list":
        found |= {shape.member.serialization.get("name", "member")} | _element_names(shape.member)
    return found


def _is_document(document: bytes, root: str) -> bool:
    try:
        return parse_document(document).tag in _roots(root)
    except MalformedXml:
        return False


def _roots(root: str) -> frozenset[str]:
    """Return what the answer's root may be called: moto names that of GetBucketVersioning after the operation."""
    return frozenset({root, "GetBucketVersioningResponse"} if root == "VersioningConfiguration" else {root})


async def _keep_document(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    parsed[_RAW] = await http_response.content
