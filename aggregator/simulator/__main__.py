"""`python -m aggregator.simulator`."""

import sys

from aggregator.simulator.serve import main

sys.exit(main(sys.argv[1:]))
