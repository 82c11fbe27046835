from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bucket_brigade.s3.throttle import LONGEST_BELIEVED_S, Throttle, open_gate
from bucket_brigade.settings.values import EndpointSettings

ENDPOINT = EndpointSettings(endpoint_url="https://s3.example", access_key_id="someone")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shared(state_dir: Path, clock: Clock, endpoint: EndpointSettings = ENDPOINT) -> Throttle:
    throttle = Throttle(now=clock)
    gate = open_gate(str(state_dir), endpoint)
    assert gate is not None
    throttle.share(gate)
    return throttle


def test_a_gate_closed_by_one_process_is_closed_for_the_others(tmp_path: Path) -> None:
    clock = Clock()
    one, other = shared(tmp_path, clock), shared(tmp_path, clock)
    stranger = shared(tmp_path, clock, EndpointSettings(endpoint_url="https://elsewhere.example"))
    one.close(sent_at=clock.now, retry_after_s=3.0)
    assert not other.is_open
    assert other.remaining_s() == 3.0
    assert stranger.is_open
    clock.now += 3.0
    assert other.remaining_s() == 0.0
    assert one.is_open


def test_requests_that_were_under_way_when_another_process_closed_the_gate_do_not_close_it_further(
    tmp_path: Path,
) -> None:
    clock = Clock()
    one, other = shared(tmp_path, clock), shared(tmp_path, clock)
    one.close(sent_at=clock.now, retry_after_s=3.0)
    other.close(sent_at=clock.now - 0.1)
    assert other.remaining_s() == 3.0
    assert other.pauses == 0


def test_a_gate_that_was_closed_before_the_machine_was_started_anew_is_open(tmp_path: Path) -> None:
    clock = Clock()
    shared(tmp_path, clock).close(sent_at=clock.now)
    clock.now -= LONGEST_BELIEVED_S + 60
    assert shared(tmp_path, clock).remaining_s() == 0.0


def test_what_a_throttle_knew_alone_holds_when_it_is_shared(tmp_path: Path) -> None:
    clock = Clock()
    throttle = Throttle(now=clock)
    throttle.close(sent_at=clock.now, retry_after_s=2.0)
    gate = open_gate(str(tmp_path), ENDPOINT)
    assert gate is not None
    throttle.share(gate)
    assert not shared(tmp_path, clock).is_open


def test_a_real_second_process_sees_the_gate(tmp_path: Path) -> None:
    throttle = Throttle()
    gate = open_gate(str(tmp_path), ENDPOINT)
    assert gate is not None
    throttle.share(gate)
    throttle.close(sent_at=1e12, retry_after_s=30.0)
    program = (
        "import sys\n"
        "from bucket_brigade.s3.throttle import Throttle, open_gate\n"
        "from bucket_brigade.settings.values import EndpointSettings\n"
        "throttle = Throttle()\n"
        "throttle.share(open_gate(sys.argv[1], EndpointSettings(endpoint_url='https://s3.example', access_key_id='someone')))\n"
        "print(throttle.remaining_s())\n"
    )
    found = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert 0.0 < float(found.stdout) <= 30.0


def test_where_nothing_can_be_written_there_is_no_gate_to_share(tmp_path: Path) -> None:
    (tmp_path / "gates").write_text("in the way")
    assert open_gate(str(tmp_path), ENDPOINT) is None


def test_gates_are_for_their_owner_alone(tmp_path: Path) -> None:
    assert open_gate(str(tmp_path), ENDPOINT) is not None
    folder = tmp_path / "gates"
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert [os.stat(folder / name).st_mode & 0o777 for name in os.listdir(folder)] == [0o600]
