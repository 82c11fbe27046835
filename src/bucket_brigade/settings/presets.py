"""What is known of the S3 services that people use: where they are, and what is particular about them.

A preset only fills in what an endpoint leaves open. ``brigade doctor`` finds out the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bucket_brigade.errors import ConfigError


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults of one kind of S3 service.

    Attributes:
        title: its name in sentences.
        endpoint_url: may hold ``{region}``; None where every installation has its own.
        region: None leaves it to the user.
        addressing, checksum: as in EndpointSettings.
        remark: what a person should know.
    """

    title: str
    endpoint_url: str | None = None
    region: str | None = None
    addressing: str = "auto"
    checksum: str = "auto"
    remark: str = ""


PRESETS: Mapping[str, Preset] = {
    "aws": Preset(title="Amazon S3", remark="Needs no endpoint_url."),
    "minio": Preset(title="MinIO", region="us-east-1", addressing="path"),
    "r2": Preset(
        title="Cloudflare R2",
        region="auto",
        addressing="path",
        remark="endpoint_url is https://ACCOUNT.r2.cloudflarestorage.com. No ACLs, tags, versions or object lock.",
    ),
    "b2": Preset(
        title="Backblaze B2",
        endpoint_url="https://s3.{region}.backblazeb2.com",
        checksum="when_required",
        remark="Buckets always keep versions; lifecycle rules decide how long.",
    ),
    "gcs": Preset(
        title="Google Cloud Storage, interoperability",
        endpoint_url="https://storage.googleapis.com",
        region="auto",
        addressing="path",
        checksum="when_required",
        remark="HMAC keys. It has no DeleteObjects: keys are deleted one by one.",
    ),
    "ceph": Preset(title="Ceph RGW", region="default", addressing="path"),
    "seaweedfs": Preset(title="SeaweedFS", region="us-east-1", addressing="path"),
    "wasabi": Preset(title="Wasabi", endpoint_url="https://s3.{region}.wasabisys.com"),
    "garage": Preset(title="Garage", region="garage", addressing="path", remark="No versions, ACLs or tags."),
}


def fill_from_preset(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return what the preset of an endpoint adds to the keys that are ``given`` for it.

    Raises:
        ConfigError: the service has no address of its own, or one for each region, and it is not given.
    """
    preset_name = given.get("preset")
    if not isinstance(preset_name, str):
        return {}
    preset = PRESETS[preset_name]
    filled: dict[str, object] = {"addressing": preset.addressing, "checksum": preset.checksum}
    if preset.region is not None:
        filled["region"] = preset.region
    region = given.get("region", preset.region)
    if "endpoint_url" not in given:
        if preset.endpoint_url is not None and ("{region}" not in preset.endpoint_url or region):
            filled["endpoint_url"] = preset.endpoint_url.format(region=region)
        elif preset_name != "aws":
            lacking = "region" if preset.endpoint_url else "endpoint_url"
            raise ConfigError(f"the endpoint {name} ({preset.title}) has no {lacking}", remedy=_remedy(preset, lacking))
    return {key: value for key, value in filled.items() if key not in given}


def _remedy(preset: Preset, lacking: str) -> str:
    return f"Give it. {preset.remark}".strip() if lacking == "endpoint_url" else "Give the region of the account."
