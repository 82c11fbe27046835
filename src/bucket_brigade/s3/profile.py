"""What an endpoint was found to do, kept for later jobs: one small JSON file for each endpoint in the state directory.

``brigade doctor`` tries each capability with requests whose answer proves it, and writes the file; jobs read it. It holds no
secret. Nothing depends on it being there: what is not known is None, and found out as before.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping

import msgspec

from bucket_brigade import __version__
from bucket_brigade.model.location import DEFAULT_ENDPOINT
from bucket_brigade.settings.private import make_private_folder, replace_private_file
from bucket_brigade.settings.values import EndpointSettings

PROFILES = "profiles"
MAX_AGE_S = 90 * 86_400
"""An older profile is no longer believed: endpoints are upgraded, and put behind other proxies."""

_NS_PER_S = 1_000_000_000
_FORMAT = 1


class EndpointProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one endpoint does. Each capability is True (tried and proven), False (tried: refused or ignored) or None (unknown).

    A condition counts as True only where a write that violates it was refused, a checksum where a wrong one was.

    Attributes:
        format: of the file; one that this program does not know is not read.
        endpoint_url: what was asked, without credentials.
        probed_ns: when, in nanoseconds since the epoch; 0 for a profile that knows nothing.
        brigade_version: of the program that asked.
        checksums: CRC64NVME is accepted with a write, and a wrong one is refused.
        put_if_absent, put_if_match: ``If-None-Match: *`` and ``If-Match`` of PutObject.
        complete_if_absent, copy_if_absent: ``If-None-Match: *`` of CompleteMultipartUpload and CopyObject.
        delete_if_match: ``If-Match`` of DeleteObject.
        copy_source_if_match: ``x-amz-copy-source-if-match`` of CopyObject.
        multipart, multipart_copy: uploads in parts; UploadPartCopy with a range.
        multi_delete: DeleteObjects.
        tags, tag_count: object tags; the HEAD of a tagged object says how many.
        acls: access control lists of objects.
        versions: ListObjectVersions.
        ordered_listings: keys come in the order of their UTF-8 bytes.
        start_after: ``StartAfter`` is obeyed.
        url_encoding: ``encoding-type=url`` is obeyed, so that any key can be listed.
        accepts_checksums: CRC64NVME is accepted with a write, whether or not it is looked at.
    """

    format: int = _FORMAT
    endpoint_url: str = ""
    probed_ns: int = 0
    brigade_version: str = ""
    checksums: bool | None = None
    put_if_absent: bool | None = None
    put_if_match: bool | None = None
    complete_if_absent: bool | None = None
    copy_if_absent: bool | None = None
    delete_if_match: bool | None = None
    copy_source_if_match: bool | None = None
    multipart: bool | None = None
    multipart_copy: bool | None = None
    multi_delete: bool | None = None
    tags: bool | None = None
    tag_count: bool | None = None
    acls: bool | None = None
    versions: bool | None = None
    ordered_listings: bool | None = None
    start_after: bool | None = None
    url_encoding: bool | None = None
    accepts_checksums: bool | None = None

    @property
    def lists_in_shards(self) -> bool:
        """Whether a long listing may be divided, as far as is known."""
        return self.ordered_listings is not False and self.start_after is not False

    @property
    def conditional_writes(self) -> bool | None:
        """Whether conditions are enforced on every kind of upload, with PutObject and in parts; None where that is not known."""
        tried = (self.put_if_absent, self.put_if_match, self.complete_if_absent)
        if False in tried:
            return False
        return None if None in tried else True


UNKNOWN_PROFILE = EndpointProfile()

CAPABILITIES = tuple(
    name
    for name in EndpointProfile.__struct_fields__
    if name not in {"format", "endpoint_url", "probed_ns", "brigade_version"}
)


def read_profile(state_dir: str, endpoint: EndpointSettings) -> EndpointProfile:
    """Return what is known of an endpoint; ``UNKNOWN_PROFILE`` where that is nothing, too old, or unreadable."""
    try:
        with open(profile_path(state_dir, endpoint), "rb") as file:
            profile = msgspec.json.decode(file.read(), type=EndpointProfile)
    except (OSError, msgspec.MsgspecError):
        return UNKNOWN_PROFILE
    age_s = (time.time_ns() - profile.probed_ns) / _NS_PER_S
    return profile if profile.format == _FORMAT and age_s <= MAX_AGE_S else UNKNOWN_PROFILE


def write_profile(state_dir: str, endpoint: EndpointSettings, profile: EndpointProfile) -> str:
    """Keep what was found out now, over what was known before; return the path of the file (0600).

    A capability that was not tried this time stays as it was known. Raises OSError.
    """
    known = msgspec.structs.asdict(read_profile(state_dir, endpoint))
    found = msgspec.structs.asdict(profile)
    kept = {name: known[name] if found[name] is None else found[name] for name in CAPABILITIES}
    whole = msgspec.structs.replace(profile, **kept, probed_ns=time.time_ns(), brigade_version=__version__)
    path = profile_path(state_dir, endpoint)
    make_private_folder(os.path.dirname(path))
    replace_private_file(path, msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    return path


def profile_path(state_dir: str, endpoint: EndpointSettings, environ: Mapping[str, str] = os.environ) -> str:
    """Return where the profile of an endpoint is kept: by what decides which service is asked, not by who asks."""
    url = endpoint.endpoint_url or ""
    if not url and endpoint.name == DEFAULT_ENDPOINT:
        url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    # Without a URL, the AWS profile may name one.
    who = "" if url else endpoint.profile or environ.get("AWS_PROFILE", "")
    identity = "\0".join((url.rstrip("/"), endpoint.region or "", who))
    digest = hashlib.blake2s(identity.encode(), digest_size=4).hexdigest()
    return os.path.join(state_dir, PROFILES, f"{endpoint.name}-{digest}.json")
