"""The options of `jaxalign benchmark`. Pure Python, see ``cli.choices``."""

from dataclasses import dataclass
from pathlib import Path

from jaxalign.cli.choices import Many


@dataclass(frozen=True)
class Benchmark:
    """Time label spectra against numpy, jax, torch and scikit-learn, in turn, with the error beside
    every time.
    """

    # Rows x columns of one matrix, or number x rows x columns of a batch.
    shapes: Many[str] = ("1000x129", "1000x513", "10000x512", "64x1000x129", "256x512x64")
    # Add 60000x784, 100000x1024 and 1000000x256, as memory allows: an hour on two cores.
    large: bool = False
    # Seconds for the rounds of each shape. At least three rounds are run, and at most a hundred.
    seconds: float = 20.0
    # Folder for the numbers (JSON) and the picture, named after the device.
    out: Path = Path("benchmark")
    # Numbers of CPU cores to try, of which the fastest counts; by default 1 and all. An accelerator
    # takes none.
    cores: Many[int] = ()
    # Also write a profile of one call of every solver into this folder, for xprof or TensorBoard.
    # It has a folder for each shape and number of cores, and names solvers and routes.
    trace: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(
                f"seconds must be finite and not negative, found {self.seconds}; change --seconds"
            )
