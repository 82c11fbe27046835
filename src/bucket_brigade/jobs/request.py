"""From what a user said to a Job: every check that can be made before anything is changed."""

from __future__ import annotations

import msgspec

from bucket_brigade.model.job import EndpointOverrides, Filters, LayoutName, TransferOptions, Unarchive


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the verbs ``cp``, ``mv`` and ``rm``, a job file and the Python API all come down to: plain words.

    Attributes:
        verb: ``cp``, ``mv``, ``rm``, ``set`` (change attributes in place) or ``unarchive`` (RestoreObject).
        source, target: as typed: ``s3://bucket/prefix/``, ``minio://…``, a path, ``-``; no target for ``rm``.
        version_id: of the one object that ``source`` names; None for the current version.
        recursive: ``--recursive`` was given; else the locations' own form decides.
        manifest: path of a CSV or JSON lines file that names the objects of ``source``.
        catalog: path or URL where the catalog is written; for a download, the catalog to read names from.
        options: None takes the settings' defaults. What ``set`` changes is in its ``attributes``.
        unarchive: what an ``unarchive``, or a transfer with ``options.unarchive``, asks the store for.
    """

    verb: str
    source: str
    target: str = ""
    version_id: str | None = None
    recursive: bool = False
    filters: Filters = Filters()
    options: TransferOptions | None = None
    layout: LayoutName = LayoutName.IDENTITY
    manifest: str | None = None
    manifest_format: str = "auto"
    catalog: str | None = None
    unarchive: Unarchive = Unarchive()
    source_endpoint: EndpointOverrides = EndpointOverrides()
    target_endpoint: EndpointOverrides = EndpointOverrides()
    all_versions: bool = False
    noncurrent: bool = False
    keep_last: int | None = None
    as_of: str | None = None
    delete_newer: bool = False
