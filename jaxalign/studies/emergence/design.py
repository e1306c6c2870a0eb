"""The design of the study of emergence: what is trained on what, and by which optimizers."""

from dataclasses import dataclass

import optax

from jaxalign.studies.framework.study import Cell
from jaxalign.studies.shared.networks import ARCHITECTURES
from jaxalign.studies.shared.problems import PROBLEMS, REGRESSIONS, at_hand

OPTIMIZERS = {
    "SGD": optax.sgd(0.1),
    "momentum": optax.sgd(0.03, momentum=0.9),
    "Adam": optax.adam(3e-3),
    "AdamW": optax.adamw(3e-3, weight_decay=0.03),
    "RMSprop": optax.rmsprop(2e-3),
    "Lion": optax.lion(1e-3),
}
"""One step size each, chosen for a loss that falls clearly on the digits; not tuned to a data set
or an architecture.
"""

FOR_REGRESSION = OPTIMIZERS | {"SGD": optax.sgd(0.01), "momentum": optax.sgd(0.003, momentum=0.9)}
"""The same. But steps along the gradient are a tenth as large, over ten times as many: a squared
error has gradients without bound, with which linear networks diverge at the step sizes above.
"""


@dataclass(frozen=True)
class Config:
    """The design."""

    problems: tuple[str, ...] = PROBLEMS
    """Pullover against coat, digits even against odd, the progression of diabetes; and, if they are
    at hand, airplane against automobile and the position of CT slices. The regressions are for
    networks of features alone.
    """
    architectures: tuple[str, ...] = tuple(one.name for one in ARCHITECTURES)
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    seeds: int = 5
    num_samples: int = 256
    """Of training, all measured; as many are held out, of diabetes the other 186."""
    side: int = 8
    """Pixels of the images of Fashion-MNIST (28) and CIFAR-10 (32)."""
    steps: int = 100
    regression_steps: int = 1000
    """A linear network takes as many to beat the best constant answer on diabetes."""
    batch_size: int = 32
    learned: float = 0.8
    """A cell has learned if its training loss, over its last tenth, is under this share of that of
    the best constant answer.
    """
    level: float = 0.05
    """The probability that any cell is judged wrong by chance."""


def cells(config: Config) -> list[Cell]:
    """Architecture × data set; the optimizers of one are trained as one program."""
    return [
        {"architecture": one.name, "problem": name}
        for name in at_hand(config.problems)
        for one in ARCHITECTURES
        if one.name in config.architectures and not (one.images and name in REGRESSIONS)
    ]
