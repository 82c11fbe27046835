"""bucket-brigade moves objects in bulk between disk, S3 and S3-compatible stores, as durable jobs.

The names below are the public API; each is imported when it is first used, so that ``import bucket_brigade`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Brigade": "bucket_brigade.jobs.brigade",
    "BucketHandle": "bucket_brigade.jobs.handles",
    "ObjectHandle": "bucket_brigade.jobs.handles",
    "JobRequest": "bucket_brigade.jobs.request",
    "JobRun": "bucket_brigade.jobs.run",
    "Report": "bucket_brigade.jobs.run",
    "Counters": "bucket_brigade.model.outcome",
    "Filters": "bucket_brigade.model.job",
    "Job": "bucket_brigade.model.job",
    "ObjectAttributes": "bucket_brigade.model.job",
    "Rule": "bucket_brigade.model.job",
    "TransferOptions": "bucket_brigade.model.job",
    "BucketChanges": "bucket_brigade.s3.bucket_values",
    "BucketInfo": "bucket_brigade.s3.bucket_values",
    "Encryption": "bucket_brigade.s3.bucket_values",
    "Ownership": "bucket_brigade.s3.bucket_values",
    "PublicAccessBlock": "bucket_brigade.s3.bucket_values",
    "Versioning": "bucket_brigade.s3.bucket_values",
    "Diagnosis": "bucket_brigade.jobs.doctor.findings",
    "Finding": "bucket_brigade.jobs.doctor.findings",
    "Settings": "bucket_brigade.settings.values",
    "load_settings": "bucket_brigade.settings.load",
    "BrigadeError": "bucket_brigade.errors",
    "ConfigError": "bucket_brigade.errors",
}

if TYPE_CHECKING:
    from bucket_brigade.errors import BrigadeError, ConfigError
    from bucket_brigade.jobs.brigade import Brigade
    from bucket_brigade.jobs.doctor.findings import Diagnosis, Finding
    from bucket_brigade.jobs.handles import BucketHandle, ObjectHandle
    from bucket_brigade.jobs.request import JobRequest
    from bucket_brigade.jobs.run import JobRun, Report
    from bucket_brigade.model.job import Filters, Job, ObjectAttributes, Rule, TransferOptions
    from bucket_brigade.model.outcome import Counters
    from bucket_brigade.s3.bucket_values import (
        BucketChanges,
        BucketInfo,
        Encryption,
        Ownership,
        PublicAccessBlock,
        Versioning,
    )
    from bucket_brigade.settings.load import load_settings
    from bucket_brigade.settings.values import Settings

__all__ = [
    "Brigade",
    "BrigadeError",
    "BucketChanges",
    "BucketHandle",
    "BucketInfo",
    "ConfigError",
    "Counters",
    "Diagnosis",
    "Encryption",
    "Filters",
    "Finding",
    "Job",
    "JobRequest",
    "JobRun",
    "ObjectAttributes",
    "ObjectHandle",
    "Ownership",
    "PublicAccessBlock",
    "Report",
    "Rule",
    "Settings",
    "TransferOptions",
    "Versioning",
    "__version__",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
