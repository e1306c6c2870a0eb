"""Matrix products at full precision: by default an accelerator may round the factors to TF32 or bfloat16."""

from functools import partial

import jax.numpy as jnp
from jax.lax import Precision

matmul = partial(jnp.matmul, precision=Precision.HIGHEST)
