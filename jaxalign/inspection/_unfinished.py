"""How far a pass has come, in a file: the same inspection goes on from there."""

import json
import os
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxalign._spectrum.moments import Moments
from jaxalign.inspection._batches import NO_TARGETS, Batch, TargetRange

SECONDS = 30.0
"""So often sums are written."""

Sums = OrderedDict[str, Moments]


class Progress(NamedTuple):
    """The batches of a pass that were added.

    Attributes:
      sums: the moments of every layer; None before the first batch.
      batches: their number.
      size: rows of the largest one.
      rows: of all.
      num_samples: Σ w.
      targets: the range of the targets.
      checksum: of inputs, targets and weights.
    """

    sums: Sums | None = None
    batches: int = 0
    size: int = 0
    rows: int = 0
    num_samples: float = 0.0
    targets: TargetRange = NO_TARGETS
    checksum: int = 0

    def after(self, batch: Batch, sums: Sums, size: int, checksum: int) -> "Progress":
        """With one batch more."""
        return Progress(
            sums,
            self.batches + 1,
            size,
            self.rows + len(batch.weights),
            self.num_samples + float(batch.weights.sum(dtype=np.float64)),
            self.targets.merged(batch),
            checksum,
        )


def checksum_of(batch: Batch, before: int) -> int:
    """The checksum of a batch after those before it."""
    for array in jax.tree.leaves(tuple(batch)):
        flat = np.ascontiguousarray(array).reshape(-1)
        before = zlib.crc32(flat.view(np.uint8).data, before)
    return before


@dataclass
class Unfinished:
    """Keeps the progress of passes in a folder.

    Args:
      folder: made when needed.
      identity: of the inspection; another one's sums are refused.
    """

    folder: Path
    identity: str
    _due: float = 0.0

    def read(self, stage: str, sums: Sums) -> Progress:
        """The progress of a pass; none where nothing was kept.

        Args:
          stage: the pass.
          sums: of no rows, of this inspection.

        Raises:
          ValueError: sums of another inspection, or a damaged file.
        """
        self._due = time.monotonic() + SECONDS
        file = self._file(stage)
        if not file.is_file():
            return Progress()
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                noted = json.loads(str(arrays["noted"]))
                products = [arrays[f"sums/{name}"] for name in sums]
                targets = TargetRange(noted.pop("coded"), arrays["lowest"], arrays["highest"])
        # Anything: a damaged archive can fail in any way.
        except Exception as error:
            raise ValueError(f"{file} cannot be read ({error}); remove it to begin again") from None
        if noted.pop("identity") != self.identity:
            raise ValueError(
                f"{self.folder} holds sums of another model, or with other options; name another "
                "folder, or remove it"
            )
        with jax.enable_x64(True):
            kept = OrderedDict(
                (name, replace(moments, products=jnp.asarray(array)))
                for (name, moments), array in zip(sums.items(), products, strict=True)
            )
        return Progress(**noted, sums=kept, targets=targets)

    def write_if_due(self, stage: str, progress: Progress) -> None:
        """Write the progress, if it was not written for a while."""
        if time.monotonic() >= self._due:
            self.write(stage, progress)

    def write(self, stage: str, progress: Progress) -> None:
        """Write the progress, in place of what was written before."""
        sums = progress.sums
        # An interruption may come while the sums are overwritten; then what was written stays.
        if sums is None or any(m.products.is_deleted() for m in sums.values()):
            return
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        noted: dict[str, Any] = progress._asdict() | {
            "identity": self.identity,
            "coded": progress.targets.coded,
        }
        del noted["sums"], noted["targets"]
        arrays = {f"sums/{name}": np.asarray(m.products) for name, m in sums.items()}
        new = self._file(stage).with_suffix(".new.npz")
        np.savez(
            new,
            allow_pickle=False,
            noted=np.array(json.dumps(noted)),
            lowest=progress.targets.lowest,
            highest=progress.targets.highest,
            **arrays,
        )
        os.replace(new, self._file(stage))
        # Large sums are written less often.
        now = time.monotonic()
        self._due = now + max(SECONDS, 20 * (now - began))

    def _file(self, stage: str) -> Path:
        return self.folder / f"{stage.replace(' ', '_')}.npz"
