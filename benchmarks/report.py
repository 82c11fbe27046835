"""From runs to what people read: a Markdown table, the goals met or missed, a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from commands import Kind, Peer
from harness import Run
from rows import MEMORY_GOAL_BYTES, ROWS, VERSION_GOAL_S, Row

CUT = 5
"""Longest bar of the chart, as ratio."""

COLORS = {"brigade": "#d62728", "s5cmd": "#1f5f99", "rclone": "#7fb1dd", "obstore": "#4d7c3a", "crt": "#a9cf8f"}
"""What the chart shows: programs in blue, library scripts in green. The others are beyond its edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The medians of one peer at one row."""

    wall_s: float
    cpu_s: float
    peak_bytes: float
    peak_sum_bytes: float
    requests: float
    server_cpu_s: float
    objects: int
    error: str


Cells = dict[tuple[str, str], Cell]


def summarize(runs: Iterable[Run]) -> Cells:
    """Return the medians by (row, peer); one failed run fails its cell."""
    grouped: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        grouped[run.row, run.peer].append(run)
    return {key: _cell(group) for key, group in grouped.items()}


def _cell(group: Sequence[Run]) -> Cell:
    return Cell(
        wall_s=median(run.wall_s for run in group),
        cpu_s=median(run.cpu_s for run in group),
        peak_bytes=median(run.peak_bytes for run in group),
        peak_sum_bytes=median(run.peak_sum_bytes for run in group),
        requests=median(run.requests for run in group),
        server_cpu_s=median(run.server_cpu_s for run in group),
        objects=group[0].objects,
        error=next((run.error for run in group if run.error), ""),
    )


def best(cells: Cells, row: str, names: Iterable[str], measure: str) -> float | None:
    """Return the least of a measure among these peers' cells that did the work."""
    found = [
        getattr(cells[row, name], measure) for name in names if (row, name) in cells and not cells[row, name].error
    ]
    return min(found, default=None)


def table(cells: Cells, peers: Sequence[Peer]) -> str:
    """Return the whole table: for each row and peer the medians, each also as ratio to the best peer other than brigade."""
    rivals = [peer.name for peer in peers if peer.kind is not Kind.OURS]
    lines = [
        "| work | peer | wall s | x best | CPU s | x best | µs CPU/object | peak MB | all MB | requests | server CPU s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in ROWS:
        for peer in peers:
            cell = cells.get((row.name, peer.name))
            if cell:
                lines.append(
                    _line(
                        row, peer, cell, best(cells, row.name, rivals, "wall_s"), best(cells, row.name, rivals, "cpu_s")
                    )
                )
    return "\n".join(lines)


def _line(row: Row, peer: Peer, cell: Cell, best_wall_s: float | None, best_cpu_s: float | None) -> str:
    title = f"{row.title} ({cell.objects:,})"
    if cell.error:
        return f"| {title} | {peer.name} | failed: {cell.error.replace('|', '/')} | | | | | | | | |"
    name = f"**{peer.name}**" if peer.kind is Kind.OURS else peer.name
    return (
        f"| {title} | {name} | {cell.wall_s:.2f} | {_ratio(cell.wall_s, best_wall_s)} "
        f"| {cell.cpu_s:.2f} | {_ratio(cell.cpu_s, best_cpu_s)} "
        f"| {cell.cpu_s / cell.objects * 1e6:,.1f} | {cell.peak_bytes / 1e6:.0f} | {cell.peak_sum_bytes / 1e6:.0f} "
        f"| {cell.requests:,.0f} | {cell.server_cpu_s:.2f} |"
    )


def _ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2f}" if reference else ""


def goals(cells: Cells, peers: Sequence[Peer]) -> str:
    """Return the table of goals: each cell the ratio reached, the ratio wanted, and met or missed."""
    programs = [peer.name for peer in peers if peer.kind is Kind.PROGRAM]
    libraries = [peer.name for peer in peers if peer.kind is Kind.LIBRARY]
    lines = ["| work | CPU / program | wall / program | CPU / library | peak memory |", "|---|---|---|---|---|"]
    for row in ROWS:
        ours = cells.get((row.name, "brigade"))
        if ours is None:
            continue
        if ours.error:
            lines.append(f"| {row.title} | failed: {ours.error.replace('|', '/')} | | | |")
            continue
        columns = (
            _verdict(ours.cpu_s, best(cells, row.name, programs, "cpu_s"), row.goal.cpu_program),
            _verdict(ours.wall_s, best(cells, row.name, programs, "wall_s"), row.goal.wall_program),
            _verdict(ours.cpu_s, best(cells, row.name, libraries, "cpu_s"), row.goal.cpu_library),
            _met(
                ours.peak_sum_bytes <= MEMORY_GOAL_BYTES,
                f"{ours.peak_sum_bytes / 1e6:.0f} MB",
                f"{MEMORY_GOAL_BYTES / 1e6:.0f} MB",
            ),
        )
        lines.append(f"| {row.title} | " + " | ".join(columns) + " |")
    return "\n".join([*lines, "", *_start_up(cells)]) if len(lines) > 2 else ""


def _verdict(ours: float, theirs: float | None, goal: float | None) -> str:
    if theirs is None or goal is None:
        return "-" if theirs is None else f"{ours / theirs:.2f}"
    return _met(ours / theirs <= goal, f"{ours / theirs:.2f}", f"{goal:g}")


def _met(met: bool, reached: str, wanted: str) -> str:
    return f"{reached} ≤ {wanted} met" if met else f"**{reached} > {wanted} missed**"


def _start_up(cells: Cells) -> list[str]:
    lines = []
    version, one, aws = (cells.get(key) for key in (("version", "brigade"), ("one", "brigade"), ("one", "aws-cli")))
    if version and not version.error:
        lines.append(
            f"- `brigade --version`: {_met(version.wall_s <= VERSION_GOAL_S, f'{version.wall_s:.3f} s', f'{VERSION_GOAL_S} s')}"
        )
    if one and aws and not one.error and not aws.error:
        reached, wanted = f"{one.wall_s:.2f} s", f"{aws.wall_s:.2f} s (aws s3 cp)"
        lines.append(f"- `brigade cp` of one small file: {_met(one.wall_s <= aws.wall_s, reached, wanted)}")
    return lines


def scaling_table(runs: Sequence[Run], peers: Sequence[Peer]) -> str:
    """Return throughput over requests in flight, with a delay at the server."""
    if not runs:
        return ""
    levels = sorted({run.in_flight for run in runs})
    lines = [
        "| objects/s at … in flight | " + " | ".join(f"{level:,}" for level in levels) + " |",
        "|---" * (len(levels) + 1) + "|",
    ]
    for peer in peers:
        groups = [[run for run in runs if run.peer == peer.name and run.in_flight == level] for level in levels]
        if any(groups):
            lines.append(f"| {peer.name} | " + " | ".join(_throughput(group) for group in groups) + " |")
    return "\n".join(lines)


def _throughput(group: Sequence[Run]) -> str:
    if not group:
        return ""
    failed = next((run.error for run in group if run.error), None)
    return f"failed: {failed}" if failed else f"{median(run.objects / run.wall_s for run in group):,.0f}"


def draw_chart(path: Path, cells: Cells, peers: Sequence[Peer], title: str) -> None:
    """Draw CPU seconds (left) and wall seconds (right) of each row, relative to the best peer other than brigade."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = {row for row, _ in cells} - {"one", "version"}
    rows = [row for row in ROWS if row.name in drawn]
    shown = [peer for peer in peers if peer.name in COLORS]
    if not rows:
        return
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.85 * len(rows) + 1.5), sharey=True, layout="constrained")
    height = 0.8 / len(shown)
    for axis, measure, label in zip(axes, ("cpu_s", "wall_s"), ("CPU", "wall time"), strict=True):
        for place, peer in enumerate(shown):
            points = [
                (number + place * height, ratio)
                for number, row in enumerate(rows)
                if (ratio := _relative(cells, row.name, peer, shown, measure)) is not None
            ]
            widths = [min(ratio, CUT) for _, ratio in points]
            bars = axis.barh([at for at, _ in points], widths, height, label=peer.name, color=COLORS[peer.name])
            axis.bar_label(bars, [f"{ratio:.2f}" for _, ratio in points], padding=2, fontsize=6)
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axis.set_xlim(0, CUT + 0.4)
        axis.set_xlabel(f"{label}; 1 = the best other; bars cut at {CUT}; less is better")
    axes[0].set_yticks(
        [number + height * (len(shown) - 1) / 2 for number in range(len(rows))], [row.title for row in rows]
    )
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(shown), fontsize="small", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _relative(cells: Cells, row: str, peer: Peer, shown: Sequence[Peer], measure: str) -> float | None:
    cell = cells.get((row, peer.name))
    reference = best(cells, row, [other.name for other in shown if other.kind is not Kind.OURS], measure)
    return getattr(cell, measure) / reference if cell and not cell.error and reference else None
