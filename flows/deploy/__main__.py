"""Run as ``python -m flows.deploy [--check] [--json]``."""

import sys

from flows.deploy.command import main

sys.exit(main())
