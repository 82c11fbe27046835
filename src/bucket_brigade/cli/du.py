"""``brigade du``: what a prefix holds, by folder and storage class, with its versions and what they cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import click

from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import explaining, matcher, open_store, parse_s3
from bucket_brigade.cli.options import common_options, endpoint_options, gathered, lane_option, list_shards_option
from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.text import printable
from bucket_brigade.cli.versions import as_of_option
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.usage import Tally, Usage, cost_of, measure
from bucket_brigade.jobs.versions import instant_ns
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.lean_imports import import_lean
from bucket_brigade.s3.shards import AUTO_SHARDS
from bucket_brigade.settings.units import format_size
from bucket_brigade.settings.values import PriceSettings


@click.command()
@click.argument("location")
@click.option("--versions", is_flag=True, help="Count noncurrent versions and delete markers too.")
@as_of_option
@click.option("--depth", type=click.IntRange(0), default=0, metavar="N", help="Show the folders N levels down, too.")
@click.option("--bytes", "exact", is_flag=True, help="Sizes in bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the total last.")
@endpoint_options
@lane_option
@list_shards_option
@common_options
@click.pass_context
def du(ctx: click.Context, /, location: str, versions: bool, as_of: str | None, **flags: Any) -> None:
    """Tell how much there is at LOCATION; with prices in the configuration, what it costs for a month."""
    settings = load(ctx).settings
    if versions and as_of is not None:
        raise ConfigError("--versions and --as-of contradict each other", remedy="Give one of them.")
    where = parse_s3(location, settings)
    if not where.bucket:
        raise ConfigError(f"{location} names no bucket", remedy="Write it as s3://bucket/prefix/.")
    as_of_ns = None if as_of is None else instant_ns(as_of)
    shards = (settings.engine.list_shards or AUTO_SHARDS) if "list_shards" in gathered(ctx) else 1

    async def show(brigade: Brigade) -> None:
        import_lean()
        store = await open_store(brigade, where, flags)
        usages = measure(
            store,
            where.bucket,
            where.key,
            accepts=matcher(where) if where.pattern else None,
            versions=versions,
            as_of_ns=as_of_ns,
            depth=flags["depth"],
            shards=shards,
        )
        with explaining(where), Lines() as lines:
            async with contextlib.aclosing(usages):
                async for usage in usages:
                    last = usage
                    if flags["as_json"]:
                        lines.write_json(usage_document(where, usage, settings.prices))
                    else:
                        lines.write(_folder_line(where, usage, exact=flags["exact"]))
            if not flags["as_json"]:
                for line in table_lines(last, settings.prices, exact=flags["exact"], versions=versions):
                    lines.write(line)

    with_brigade(settings, show)


def usage_document(where: S3Location, usage: Usage, prices: PriceSettings) -> dict[str, Any]:
    """Return one folder as JSON: sizes in bytes, the cost for a month."""
    total = usage.total
    document: dict[str, Any] = {
        "location": f"{where.endpoint}://{where.bucket}/{usage.prefix}",
        "objects": total.objects,
        "bytes": total.bytes,
        "current": _tallies(usage.current),
        "noncurrent": _tallies(usage.noncurrent),
        "delete_markers": usage.delete_markers,
    }
    if prices.gb_month:
        cost = cost_of((*usage.current.items(), *usage.noncurrent.items()), prices)
        document["cost_per_month"] = {
            "amount": round(cost.amount, 6),
            "currency": cost.currency,
            "unpriced": list(cost.unpriced),
        }
    return document


def _tallies(tallies: Mapping[str, Tally]) -> dict[str, dict[str, int]]:
    return {name: {"objects": tally.objects, "bytes": tally.bytes} for name, tally in sorted(tallies.items())}


def _folder_line(where: S3Location, usage: Usage, *, exact: bool) -> str:
    total = usage.total
    name = printable(f"{where.endpoint}://{where.bucket}/{usage.prefix}")
    return f"{_size(total.bytes, exact=exact):>12} {total.objects:>12,}  {name}"


def table_lines(usage: Usage, prices: PriceSettings, *, exact: bool, versions: bool) -> list[str]:
    """Return the rows below the total: storage classes, what is current and what not, and the cost where it is known."""
    rows = [("current", name, tally) for name, tally in sorted(usage.current.items())]
    rows += [("noncurrent", name, tally) for name, tally in sorted(usage.noncurrent.items())]
    lines = [
        f"{_size(tally.bytes, exact=exact):>12} {tally.objects:>12,}  {f'{kind} ' if versions else ''}{printable(name)}"
        + _price(name, tally, prices)
        for kind, name, tally in rows
    ]
    if versions:
        lines.append(f"{'':>12} {usage.delete_markers:>12,}  delete markers")
    if prices.gb_month:
        cost = cost_of(((name, tally) for _, name, tally in rows), prices)
        missing = f", without {', '.join(cost.unpriced)}" if cost.unpriced else ""
        lines.append(f"{cost.amount:>12,.2f} {cost.currency:<12}  a month{missing}")
    return lines


def _price(name: str, tally: Tally, prices: PriceSettings) -> str:
    if name not in dict(prices.gb_month):
        return ""
    return f", {cost_of([(name, tally)], prices).amount:,.2f} {prices.currency} a month"


def _size(count: int, *, exact: bool) -> str:
    return f"{count:,}" if exact else format_size(count)
