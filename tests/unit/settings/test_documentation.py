from pathlib import Path

import pytest

from bucket_brigade.planning.manifest import FORMATS
from bucket_brigade.settings import jobfile, load
from bucket_brigade.settings.schema import Kind
from bucket_brigade.settings.sources import SHORT_VARIABLES
from bucket_brigade.settings.units import parse_duration, parse_size

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()


def row_of(key: str) -> list[str]:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("key", sorted(load.KEYS))
def test_every_key_has_a_row_with_its_default(key: str) -> None:
    known = load.KEYS[key]
    documented = row_of(key.replace("*", "NAME"))
    match known.kind, known.default:
        case (Kind.SIZE, int(default)):
            assert parse_size(documented[1]) == default
        case (Kind.DURATION, float(default)):
            assert parse_duration(documented[1]) == default
        case (Kind.SWITCH, bool(default)):
            assert documented[1] == str(default).lower()
        case (_, str(default)):
            assert documented[1] == default
        case (Kind.COUNT, int(default)):
            assert int(documented[1]) == default
    for choice in known.rule.choices:
        assert f"`{choice}`" in "".join(documented)


@pytest.mark.parametrize("variable", sorted(SHORT_VARIABLES))
def test_every_short_variable_has_a_row(variable: str) -> None:
    assert row_of(variable)[1] == f"`{SHORT_VARIABLES[variable]}`"


def test_every_key_of_a_job_file_is_mentioned() -> None:
    section = PAGE.partition("## Job files")[2]
    for key in jobfile.KEYS:
        table, _, name = key.rpartition(".")
        assert f"`{key}`" in section or (
            table.startswith("options") or (f"`{table}.*`" in section and f"`{name}`" in section)
        )
    for name in ("rules", "modified_after", "modified_before"):
        assert f"`filters.{name}`" in section


def test_every_manifest_format_is_mentioned() -> None:
    section = PAGE.partition("## Manifests")[2]
    assert all(f"`{name}`" in section for name in FORMATS)
    assert jobfile.KEYS["manifest_format"].rule.choices == FORMATS
