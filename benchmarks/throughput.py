"""How fast and how accurate are label spectra, beside the SVDs that a user would call instead?

    python benchmarks/throughput.py --large

The same as `jaxalign benchmark`. Writes benchmarks/results/<device>-throughput.json and .png; torch
and scikit-learn take part if they are installed.
"""

import sys
from pathlib import Path

from jaxalign.cli.main import main

# The processes of the race import this file.
if __name__ == "__main__":
    sys.exit(main(["benchmark", "--out", str(Path(__file__).parent / "results"), *sys.argv[1:]]))
