"""The price table: amounts for storage classes, from a file or the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.jobfile import load_job_file
from bucket_brigade.settings.load import load_settings
from bucket_brigade.settings.values import PriceSettings


def loaded(tmp_path: Path, text: str, **environ: str) -> PriceSettings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(config_path=str(path), environ=environ).settings.prices


def test_prices_are_amounts_by_storage_class(tmp_path: Path) -> None:
    prices = loaded(
        tmp_path, '[prices]\ncurrency = "EUR"\ngb_month = { STANDARD = 0.023, GLACIER = "0.0036", FREE = 0 }'
    )
    assert prices == PriceSettings(currency="EUR", gb_month=(("STANDARD", 0.023), ("GLACIER", 0.0036), ("FREE", 0.0)))
    assert loaded(tmp_path, "[prices.gb_month]\nSTANDARD = 0.023").gb_month == (("STANDARD", 0.023),)
    of_environment = loaded(tmp_path, "", BRIGADE_PRICES__GB_MONTH="STANDARD=0.5,GLACIER=0.1")
    assert of_environment.gb_month == (("STANDARD", 0.5), ("GLACIER", 0.1))
    assert loaded(tmp_path, "") == PriceSettings()


@pytest.mark.parametrize("amount", ['"dear"', "-1", "true", '"1e3"', "nan"])
def test_what_is_no_amount_is_refused_by_its_name(tmp_path: Path, amount: str) -> None:
    with pytest.raises(ConfigError, match="STANDARD"):
        loaded(tmp_path, f"[prices]\ngb_month = {{ STANDARD = {amount} }}")


def test_a_job_file_names_versions(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('verb = "rm"\nsource = "s3://b/p/"\nnoncurrent = true\nkeep_last = 3\n')
    said = load_job_file(str(path), now_ns=0)
    assert (said.noncurrent, said.keep_last, said.all_versions, said.as_of) == (True, 3, False, None)
    path.write_text('verb = "restore"\nsource = "s3://b/p/"\nas_of = "2d"\ndelete_newer = true\n')
    said = load_job_file(str(path), now_ns=0)
    assert (said.verb, said.as_of, said.delete_newer) == ("restore", "2d", True)
