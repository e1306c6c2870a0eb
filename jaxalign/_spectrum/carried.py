"""Moments as loops carry them: what a TPU's loop keeps is not float64, which it emulates."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, UInt32

from jaxalign._core.expansions import as_float64, of_float64
from jaxalign._core.float64 import float64_inside
from jaxalign._core.platform import on_platform
from jaxalign._spectrum.moments import Moments


def carried(moments: Moments) -> Moments:
    """The same with products as (..., 2) words of 32 bits: the bits of a float64, or on a TPU those
    of two float32, which is what float64 is there. For ``restored`` alone.
    """
    return replace(moments, products=_words(moments.products))


def restored(moments: Moments) -> Moments:
    """The Moments that ``carried`` was given."""
    return replace(moments, products=_numbers(moments.products))


@jax.jit
def _words(x: Float[Array, "*shape"]) -> UInt32[Array, "*shape 2"]:
    return on_platform(float64_inside(_bits), _bits_of_parts, x)


def _bits(x: Float[Array, "*shape"]) -> UInt32[Array, "*shape 2"]:
    return lax.bitcast_convert_type(x, jnp.uint32)


def _bits_of_parts(x: Float[Array, "*shape"]) -> UInt32[Array, "*shape 2"]:
    return _bits(jnp.stack(of_float64(x), axis=-1))


@jax.jit
def _numbers(words: UInt32[Array, "*shape 2"]) -> Float[Array, "*shape"]:
    return on_platform(float64_inside(_float64_of), _sum_of_parts, words)


def _float64_of(words: UInt32[Array, "*shape 2"]) -> Float[Array, "*shape"]:
    return lax.bitcast_convert_type(words, jnp.float64)


def _sum_of_parts(words: UInt32[Array, "*shape 2"]) -> Float[Array, "*shape"]:
    parts = lax.bitcast_convert_type(words, jnp.float32)
    return as_float64((parts[..., 0], parts[..., 1]))
