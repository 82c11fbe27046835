from __future__ import annotations

from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.folders import find_job_folder


@pytest.fixture
def state_dir(tmp_path: Path) -> str:
    for name in ("20260101-000000-aaaa", "20260101-000000-aabb", "20260202-000000-cccc", ".20260303-000000-dddd.x1"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
        (tmp_path / "jobs" / name / "journal.db").write_bytes(b"")
    return str(tmp_path)


def test_a_unique_beginning_names_a_job(state_dir: str) -> None:
    assert find_job_folder(state_dir, "202602").endswith("20260202-000000-cccc")
    assert find_job_folder(state_dir, "20260101-000000-aaaa").endswith("aaaa")


def test_a_folder_with_a_journal_names_its_job_wherever_it_lies(
    state_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jobs/20260202-000000-cccc"
    assert find_job_folder("/nowhere", str(folder)) == str(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError):
        find_job_folder("/nowhere", "")


@pytest.mark.parametrize("job_id", ["", "2027", ".", ".2026", ".20260303-000000-dddd.x1"])
def test_what_names_no_job_is_an_error_also_for_half_made_folders(state_dir: str, job_id: str) -> None:
    with pytest.raises(ConfigError, match="no job is called") as caught:
        find_job_folder(state_dir, job_id)
    assert caught.value.remedy


def test_a_beginning_of_two_jobs_names_both(state_dir: str) -> None:
    with pytest.raises(ConfigError, match="20260101-000000-aaaa, 20260101-000000-aabb"):
        find_job_folder(state_dir, "20260101")


def test_a_state_directory_that_is_not_there_holds_no_jobs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        find_job_folder(str(tmp_path / "none"), "2026")
