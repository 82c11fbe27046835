"""Whose address an endpoint's URL is. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_AWS = re.compile(r"\.amazonaws\.(com|com\.cn|eu)\Z")


def is_aws(endpoint_url: str) -> bool:
    """Tell whether a URL is one of AWS's own."""
    return bool(_AWS.search(urlsplit(endpoint_url).hostname or ""))
