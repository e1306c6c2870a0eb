"""Cut the embedded subset of Fashion-MNIST: the first 500 training and 100 test images of each
class, in their order.

On Debian, `apt-get install dataset-fashion-mnist` puts the four IDX files into
/usr/share/datasets/fashion-mnist:

    python scripts/cut_fashion_mnist.py /usr/share/datasets/fashion-mnist
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

from jaxalign.data._fashion_mnist import EMBEDDED, read_folder


def first_of_each_class(
    images: np.ndarray, labels: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c in np.unique(labels)]))
    return images[rows], labels[rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the four IDX files are")
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    arguments = parser.parse_args()
    arrays = {}
    for part, count in (("train", 500), ("test", 100)):
        images, labels = first_of_each_class(*read_folder(arguments.folder, part), count)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    np.savez_compressed(arguments.out, allow_pickle=False, **arrays)
    print(f"{arguments.out}  sha256 {hashlib.sha256(arguments.out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
