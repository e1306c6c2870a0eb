"""What options choose from. Pure Python, so that ``--help`` loads no jax; tests compare these lists
with those of the library.
"""

from typing import Annotated, Literal, TypeVar

import tyro

Activation = Literal["relu", "tanh", "gelu", "silu", "linear"]
ArrayDtype = Literal["float16", "bfloat16", "float32"]
At = Literal["output", "input"]
Categories = Literal["refuse", "one-hot"]
Centered = Literal["auto", "yes", "no"]
Channels = Literal["auto", "first", "last"]
Decimal = Literal["auto", ".", ","]
DistanceMetric = Literal["sqeuclidean", "correlation"]
Estimator = Literal["debiased", "biased", "lange"]
Header = Literal["auto", "yes", "no"]
Intervals = Literal["best", "named", "none"]
Missing = Literal["refuse", "drop"]
Method = Literal["auto", "moments", "refined", "triangular", "svd", "split", "quadrature"]
Optimizer = Literal["adam", "adamw", "sgd", "momentum", "rmsprop", "lion"]
Part = Literal["train", "test"]
Pooling = Literal["mean", "flatten", "cls"]
RankCompare = Literal["pearson", "cosine", "spearman"]
Reduce = Literal["mean", "flatten", "samples", "cls"]
Scaling = Literal["signed", "unit", "imagenet", "none"]
Similarity = Literal[
    "linear-cka",
    "rbf-cka",
    "cca",
    "mean-squared-cca",
    "svcca",
    "pwcca",
    "procrustes",
    "angular-procrustes",
    "bures",
    "rsa",
    "mutual-knn",
    "cknna",
]
Size = Literal["small", "medium", "paper"]
StreamMethod = Literal["auto", "moments", "refined"]
Task = Literal["auto", "classes", "regression"]
Unreadable = Literal["refuse", "skip"]


def _default(label: str) -> str:
    return f"(default: {label})" if label else ""


_T = TypeVar("_T")
Many = Annotated[tuple[_T, ...], tyro.conf.arg(help_behavior_hint=_default)]
"""Values of an option that takes several. Where none are the default, the help says in words what
that means.
"""

CENTERED: dict[Centered, bool | None] = {"auto": None, "yes": True, "no": False}
"""``centered=`` of the library, where None means: by the kind of the targets."""
