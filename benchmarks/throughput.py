"""How fast, and how right, are label spectra beside the SVDs one would call instead? The same as
`jaxalign benchmark`.

    python benchmarks/throughput.py --large

Writes benchmarks/results/<device>-throughput.json and .png; torch and scikit-learn take part where
they are installed.
"""

import sys
from pathlib import Path

from jaxalign.cli import main

if __name__ == "__main__":  # the processes that race import this file
    sys.exit(main(["benchmark", "--out", str(Path(__file__).parent / "results"), *sys.argv[1:]]))
