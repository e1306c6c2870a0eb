"""Images that are read when they are indexed."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import UInt8


class StoredImages(ABC):
    """A sequence of n images in files; each is decoded when it is indexed.

    ``has_classes`` says whether their labels are classes, however many there are.
    """

    has_classes: bool

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]: ...

    def is_readable(self, row: int) -> bool:
        """Whether an image can be read; it is, to find out."""
        try:
            self[row]
        except (OSError, ValueError):
            return False
        return True
