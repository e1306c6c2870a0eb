"""The command line: `jaxalign train | inspect MODEL | compare A B | layers MODEL | show RUN |
benchmark | study NAME`.
"""

import os

# Before anything loads the BLAS that jax calls on CPU: with more threads its small eigenproblems
# are slower, not faster.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
