"""Asks whether any locked requirement has a known vulnerability; run by ``make audit`` in an environment that holds pip-audit.

Exit code 0: the service was asked about every requirement, and knows of nothing. 1: it knows of something, named here.
2: it was not asked about all of them, which is no all-clear.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLEAR, VULNERABLE, NOT_ASKED = 0, 1, 2
TIMEOUT_S = 600
_NAMED = 5


def main(requirements: Path, report: Path) -> int:
    """Audit the requirements, leave pip-audit's own report in ``report``, and say in a line what came out."""
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    command += ["--requirement", str(requirements), "--format", "json", "--output", str(report)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stderr
    except subprocess.TimeoutExpired:
        said = f"no answer within {TIMEOUT_S} s"
    if not report.is_file():
        return _not_asked(f"the vulnerability service could not be asked:\n{said[-2000:]}")
    audited = json.loads(report.read_text())["dependencies"]
    # pip-audit passes over what the service does not know, and calls that no vulnerability.
    asked = {canonicalize_name(one["name"]) for one in audited if "skip_reason" not in one}
    wanted = names_in(requirements.read_text())
    if missing := sorted(wanted - asked):
        some = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        return _not_asked(f"the service answered nothing about {len(missing)} of {len(wanted)} requirements: {some}")
    found = [(one, flaw) for one in audited for flaw in one["vulns"]]
    for one, flaw in found:
        print(
            f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        )
    print(f"{len(audited)} requirements audited, {len(found)} known vulnerabilities; report in {report}")
    return VULNERABLE if found else CLEAR


def names_in(requirements: str) -> set[str]:
    """Return the names of the requirements that are meant for this platform."""
    lines = [
        line.split("\\")[0].strip()
        for line in requirements.splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    ]
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate()}


def _not_asked(why: str) -> int:
    print(f"AUDIT NOT DONE: {why}", file=sys.stderr)
    return NOT_ASKED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
