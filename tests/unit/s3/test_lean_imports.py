"""Our own processes load botocore without the CRT, and still sign with SigV4A."""

import subprocess
import sys

_SCRIPT = """
import sys
from bucket_brigade.s3.lean_imports import import_lean
import_lean()
import botocore.session
session = botocore.session.Session()
session.set_credentials("AKIDEXAMPLE", "secret")
client = session.create_client("s3", region_name="us-east-1")
sent = []
def keep(request, **_):
    sent.append(request.headers)
    raise KeyboardInterrupt
client.meta.events.register("before-send.s3", keep)
for bucket in ("bucket", "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"):
    try:
        client.get_object(Bucket=bucket, Key="k")
    except KeyboardInterrupt:
        print(sent[-1]["Authorization"].split()[0], "awscrt" in sys.modules)
"""


def test_the_crt_is_loaded_by_the_first_request_that_only_it_can_sign() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    ordinary, everywhere = ran.stdout.splitlines()
    assert "AWS4-HMAC-SHA256" in ordinary
    assert ordinary.endswith("False")
    assert "AWS4-ECDSA-P256-SHA256" in everywhere
    assert everywhere.endswith("True")
