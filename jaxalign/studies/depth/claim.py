"""More alignment arises from depth: the paper's claim, as far as it could be read.

ReLU networks of one width and 1 to 8 hidden layers, all else equal: data, optimizer, step size,
order of samples. The optimizer is Adam, whose steps do not shrink with the gradients of deep
networks. The last hidden layer decides, by its area share ∫A dτ/(‖y‖²√n).

Deep networks also learn faster, and may be more aligned for that reason alone. So depths are
compared twice: after equally many steps, and where the training loss first comes down to half of
that of the best constant answer. The deciding effect is the rank correlation of depth and share,
among the networks of one seed, in the comparison where it is lower. A cell is one step of a data
set from a depth to the next: the share gained, paired over seeds. Nulls: the same networks
untrained, in which it falls, and trained on random labels. The samples trained on decide; a note
says what comes out on others.
"""

from jaxalign.studies.depth.design import Config, cells
from jaxalign.studies.depth.figure import figure
from jaxalign.studies.depth.measurement import measure
from jaxalign.studies.depth.verdict import verdict
from jaxalign.studies.framework.study import Study

STUDY = Study(
    name="depth",
    claim="Deeper networks align their last hidden layer more with the targets.",
    source="the paper's",
    comparison="ours: networks of 1 to 8 hidden layers, after the same number of steps and at the "
    "same training loss",
    sizes={
        "small": Config(),
        "medium": Config(seeds=20, num_samples=400, side=16),
        "paper": Config(
            depths=tuple(range(1, 9)),
            width=128,
            seeds=20,
            num_samples=600,
            side=28,
            steps=1000,
            batch_size=64,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
