"""`python -m r2d2` is the `r2d2` command."""

import sys

from r2d2.cli.main import main

sys.exit(main())
