"""The layout of a kernel in torch, which follows from the type of its layer.

Names and shapes do not tell: a convolution and its transpose with as many channels in as out have
kernels of the same name and shape, and torch lays them out differently.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from jaxalign.models._depthwise import DepthwiseConv


class Layout(NamedTuple):
    """How an array of nnx lies in torch's tensor.

    Attributes:
      axes: for each axis of the array, the tensor's.
      flipped: axes of the array that run the other way.
    """

    axes: tuple[int, ...]
    flipped: tuple[int, ...] = ()

    def torch_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The tensor's shape, of an array's."""
        return tuple(shape[self.axes.index(axis)] for axis in range(len(shape)))

    def from_torch(self, tensor: np.ndarray) -> np.ndarray:
        """A view of the tensor as the array."""
        return np.flip(np.transpose(tensor, self.axes), self.flipped)


def as_it_is(ndim: int) -> Layout:
    """The same layout in both."""
    return Layout(tuple(range(ndim)))


def kernel_layout(layer: Any, ndim: int, name: str) -> Layout:
    """The layout of a layer's kernel.

    Args:
      layer: the module that the kernel belongs to; None if it belongs to no module.
      ndim: axes of the kernel.
      name: of the tensor, for messages.

    Raises:
      ValueError: another kind of layer, or a kernel with more axes, as nnx.vmap makes it.
    """
    window = tuple(range(2, ndim))
    match layer:
        # torch defines this layer as the gradient of a convolution, so its kernel (in, out, k, l)
        # is flipped; jax.lax.conv_transpose does so only if asked.
        case nnx.ConvTranspose(transpose_kernel=True):
            layout = Layout((*window, 1, 0))  # of a kernel (k, l, out, in)
        case nnx.ConvTranspose():
            layout = Layout((*window, 0, 1), flipped=tuple(range(len(window))))
        case nnx.Linear() | nnx.Conv() | DepthwiseConv():
            layout = Layout((*window, 1, 0))  # of a tensor (out, in, k, l)
        case _:
            raise ValueError(
                f"the layout of {name} in torch is not known: the kernel belongs to "
                f"{_described(layer)}, not to nnx.Linear, nnx.Conv or nnx.ConvTranspose. Use one "
                "of them or a subclass, or call the parameter weight and keep torch's layout"
            )
    usual = len(getattr(layer, "kernel_size", ())) + 2
    if ndim != usual:
        raise ValueError(
            f"{name} must have {usual} axes in {_described(layer)}, found {ndim}; "
            "fill stacked layers one by one, before they are stacked"
        )
    return layout


def _described(layer: Any) -> str:
    return "no layer" if layer is None else f"a {type(layer).__name__}"
