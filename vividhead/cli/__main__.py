"""`python -m vividhead.cli` is `vividhead`."""

import sys

from vividhead.cli import main

sys.exit(main())
