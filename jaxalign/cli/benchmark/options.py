"""The options of `jaxalign benchmark`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Benchmark:
    """Time label spectra against numpy, jax, torch and scikit-learn, in turn, with the error beside
    every time.
    """

    shapes: tuple[str, ...] = ("1000x129", "1000x513", "10000x512", "64x1000x129", "256x512x64")
    """Rows x columns of one matrix, or number x rows x columns of a batch."""
    large: bool = False
    """Add 60000x784, 100000x1024 and 1000000x256, as memory allows: half an hour on two cores."""
    seconds: float = 20.0
    """For each shape's rounds; three rounds at least, a hundred at most."""
    out: Path = Path("benchmark")
    """Folder for the numbers (JSON) and the picture, named after the device."""
    cores: tuple[int, ...] = ()
    """Numbers of CPU cores to try, the fastest of which counts; by default 1 and all. An
    accelerator takes none."""
    trace: Path | None = None
    """Also write a profile of one call of every solver into this folder, for xprof or TensorBoard:
    a folder for each shape and number of cores, solvers by name, and the scope of every route."""
