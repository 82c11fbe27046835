"""``python -m bucket_brigade`` is the command ``brigade``."""

import sys

from bucket_brigade.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
