"""What options choose from. Pure Python, so that ``--help`` loads no jax; tests compare these lists
with those of the library.
"""

from typing import Literal

Activation = Literal["relu", "tanh", "gelu", "silu", "linear"]
ArrayDtype = Literal["float16", "bfloat16", "float32"]
At = Literal["output", "input"]
Categories = Literal["refuse", "one-hot"]
Centered = Literal["auto", "yes", "no"]
Decimal = Literal["auto", ".", ","]
Header = Literal["auto", "yes", "no"]
Missing = Literal["refuse", "drop"]
Method = Literal["auto", "moments", "refined", "triangular", "svd", "split", "quadrature"]
Optimizer = Literal["adam", "adamw", "sgd", "momentum", "rmsprop", "lion"]
Part = Literal["train", "test"]
Pooling = Literal["mean", "flatten", "cls"]
Reduce = Literal["mean", "flatten", "samples", "cls"]
Scaling = Literal["signed", "unit", "imagenet", "none"]
Size = Literal["small", "paper"]
StreamMethod = Literal["auto", "moments", "refined"]
Task = Literal["auto", "classes", "regression"]
Unreadable = Literal["refuse", "skip"]

CENTERED: dict[Centered, bool | None] = {"auto": None, "yes": True, "no": False}
"""``centered=`` of the library, where None means: by the kind of the targets."""
