"""``brigade ls``: buckets, prefixes and objects, page after page at flat memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import click
import msgspec

from bucket_brigade.cli.catalogs import local_catalog
from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import explaining, matcher, open_store, parse_s3
from bucket_brigade.cli.ls_lines import Listing, Row
from bucket_brigade.cli.ls_versions import check_version_flags, show_versions
from bucket_brigade.cli.options import common_options, endpoint_options, gathered, lane_option, list_shards_option
from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.versions import as_of_option
from bucket_brigade.errors import ConfigError, PermanentError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.lean_imports import import_lean
from bucket_brigade.s3.listing import Listing as CheckedListing
from bucket_brigade.s3.shards import AUTO_SHARDS, iterate_in_order
from bucket_brigade.s3.store import BucketEntry, Store
from bucket_brigade.settings.values import Settings

_HEADS_AT_ONCE = 16


@click.command()
@click.argument("location", required=False)
@click.option("--recursive", is_flag=True, help="Every object below, instead of one level.")
@click.option("--human-readable", is_flag=True, help="Sizes as 1.5 MiB.")
@click.option("--summarize", is_flag=True, help="Count objects and bytes at the end.")
@click.option("--page-size", type=click.IntRange(1, 1000), default=1000, help="Keys asked for at a time.")
@click.option("--catalog", metavar="FILE|URL", help="Show the names in this catalog instead of stored keys.")
@click.option("--logical", is_flag=True, help="Show the names behind the hashed layout's stored keys.")
@click.option(
    "--versions", is_flag=True, help="All versions and delete markers, with their ids, the newest of a key first."
)
@as_of_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@endpoint_options
@lane_option
@list_shards_option
@common_options
@click.pass_context
def ls(ctx: click.Context, /, location: str | None, **flags: Any) -> None:
    """List buckets (without LOCATION, or for NAME://), or what is at LOCATION: s3://bucket/prefix."""
    settings = load(ctx).settings
    # One range comes in order at no cost: only who asks for shards gets them.
    flags["shards"] = (settings.engine.list_shards or AUTO_SHARDS) if "list_shards" in gathered(ctx) else 1
    if flags["catalog"] and flags["logical"]:
        raise ConfigError("--catalog and --logical answer the same question", remedy="Give one of the two.")
    check_version_flags(flags)

    async def show(brigade: Brigade) -> None:
        with Lines() as lines:
            listing = Listing(lines, as_json=flags["as_json"], human=flags["human_readable"])
            await _show(brigade, settings, location, flags, listing)
            if flags["summarize"]:
                listing.summary()

    import_lean()
    with_brigade(settings, show)


async def _show(
    brigade: Brigade, settings: Settings, text: str | None, flags: dict[str, Any], listing: Listing
) -> None:
    if flags["catalog"]:
        where = parse_s3(text, settings, recursive=flags["recursive"]) if text else None
        await _show_catalog(brigade, settings, where, flags, listing)
        return
    where = parse_s3(text or "s3://", settings, recursive=flags["recursive"])
    store = await open_store(brigade, where, flags)
    with explaining(where):
        if not where.bucket:
            listing.buckets(await with_regions(store, await store.list_buckets()))
            return
        if flags["versions"] or flags["as_of"]:
            await show_versions(store, where, listing, recursive=flags["recursive"], as_of=flags["as_of"])
        else:
            show = _show_logical if flags["logical"] else _show_stored
            await show(
                store,
                where,
                listing,
                recursive=flags["recursive"],
                page_size=flags["page_size"],
                shards=flags["shards"],
            )
    if where.key and not (listing.totals.objects or listing.prefixes):
        raise ConfigError(
            f"there is nothing at {where}", remedy=f"`brigade ls {where.endpoint}://{where.bucket}/` shows what is."
        )


async def with_regions(store: Store, entries: list[BucketEntry]) -> list[BucketEntry]:
    """Ask for the regions that the list itself does not tell; of a store that never tells, only once."""
    missing = [index for index, entry in enumerate(entries) if not entry.region]
    if not missing or not await _region(store, entries[missing[0]].name):
        return entries
    known = list(entries)
    at_once = asyncio.Semaphore(_HEADS_AT_ONCE)

    async def look(index: int) -> None:
        async with at_once:
            known[index] = msgspec.structs.replace(entries[index], region=await _region(store, entries[index].name))

    async with asyncio.TaskGroup() as group:
        for index in missing:
            group.create_task(look(index))
    return known


async def _region(store: Store, bucket: str) -> str:
    try:
        return await store.head_bucket(bucket)
    except PermanentError:
        return ""


async def _show_stored(
    store: Store, where: S3Location, listing: Listing, *, recursive: bool, page_size: int, shards: int = 1
) -> None:
    # The names of one level are shown without the folder they are in, those of a whole tree in full; as in aws.
    whole_tree = recursive or bool(where.pattern)
    cut = 0 if whole_tree else where.key.rfind("/") + 1
    matches = matcher(where) if where.pattern else None
    if whole_tree:
        pages = iterate_in_order(store, where.bucket, prefix=where.key, page_size=page_size, shards=shards)
    else:
        pages = CheckedListing(store, where.bucket, prefix=where.key, delimiter="/", page_size=page_size).pages()
    async with contextlib.aclosing(pages):
        async for page in pages:
            await asyncio.sleep(0)  # lets the request for the next page go out before this one is written
            listing.folders(prefix[cut:] for prefix in page.prefixes)
            objects = page.objects if matches is None else [one for one in page.objects if matches(one.key)]
            listing.objects(objects, cut=cut)


async def _show_logical(
    store: Store, where: S3Location, listing: Listing, *, recursive: bool, page_size: int, shards: int = 1
) -> None:
    """Names behind hashed keys come in the order of their hashes, so one level of them needs the whole listing."""
    from bucket_brigade.planning.layouts import HashedLayout

    layout = HashedLayout()
    levels = _Levels("", recursive=recursive)
    pages = iterate_in_order(store, where.bucket, prefix=where.key, page_size=page_size, shards=shards)
    async with contextlib.aclosing(pages):
        async for page in pages:
            await asyncio.sleep(0)
            rows = (
                Row(layout.logical_of(where.key, o.key) or o.key, o.size, o.modified_ns, o.key, o.etag, o.storage_class)
                for o in page.objects
            )
            listing.rows(levels.keep(rows))
    listing.folders(sorted(levels.folders))


async def _show_catalog(
    brigade: Brigade, settings: Settings, where: S3Location | None, flags: dict[str, Any], listing: Listing
) -> None:
    from bucket_brigade.planning.catalog import read_catalog, read_header

    async with local_catalog(brigade, settings, flags["catalog"], flags) as path:
        header = read_header(path)
        if where is not None and where.bucket != header.bucket:
            message = f"the catalog is of the bucket {header.bucket}, not of {where.bucket}"
            raise ConfigError(message, remedy=f"Write s3://{header.bucket}/ or leave the location out.")
        prefix = where.key if where else ""
        matches = matcher(where) if where else None
        recursive = bool(flags["recursive"] or (where and where.pattern))
        levels = _Levels("" if recursive else prefix[: prefix.rfind("/") + 1], recursive=recursive)
        rows = (
            Row(entry.logical, entry.size, 0, entry.stored, entry.etag)
            for entry in read_catalog(path)
            if entry.logical.startswith(prefix) and (matches is None or matches(entry.logical))
        )
        listing.rows(levels.keep(rows))
        listing.folders(sorted(levels.folders))


class _Levels:
    """Keeps the names of one level below ``root``, and gathers the folders that the others are in."""

    def __init__(self, root: str, *, recursive: bool) -> None:
        self._root_length = len(root)
        self._recursive = recursive
        self.folders: set[str] = set()

    def keep(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            name = row.name[self._root_length :]
            folder, slash, _ = name.partition("/")
            if self._recursive:
                yield row
            elif slash:
                self.folders.add(folder + slash)
            else:
                yield row._replace(name=name)
