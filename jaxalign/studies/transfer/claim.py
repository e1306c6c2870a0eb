"""Alignment correlates with transfer, positive to similar tasks and negative to dissimilar ones.

The claim is the paper's (abstract). Its synthetic problem is not named in what could be read of it.
The tasks are ours, after the two classics: Pratt's (1993) of points in a square, by a line and by a
box, and Caruana's (1997) peaks functions. Beside them, pairs of CIFAR-10's classes where these are
at hand: from a vehicle against an animal to another such pair (dial 0), or to two vehicles or two
animals (dial 1), without a common class.

An MLP learns a source task, for a while or for long, and is frozen. A linear head then learns each
target from few points, by gradient descent on the log-loss, on the last hidden layer as the measure
prepares it (rows of norm 1, so one step size suits all). Transfer is the accuracy on other points,
less that of a reference. The reference that decides is the same network, trained from its initial
weights on the target's few points alone, as many steps as the head takes. The two others are heads
on the raw input, and on the same layer before training. Alignment gain is the area/(‖y‖²√n) of the
target's labels on the few points, frozen − reference; training from scratch begins with the
untrained network, so there it is over that one.

Each problem and reference has three cells: gains go together (Spearman's ρ over the targets of a
network and how long it was trained, mean over networks); and after the longest training transfer is
positive at dial 0, and negative at dial 1. The distance of tasks alone could make gains go
together. So each problem has one more cell: at one target, where only the length of training
differs, alignment and accuracy go together. The verdict is ρ over training from scratch, in the
synthetic problem where it is lowest. A problem whose source task was not learned is left out.
"""

import itertools

from jaxalign.data._synthetic import VARIABLES
from jaxalign.studies.framework.study import Study
from jaxalign.studies.transfer.design import Config, cells
from jaxalign.studies.transfer.figure import figure
from jaxalign.studies.transfer.measurement import measure
from jaxalign.studies.transfer.verdict import verdict

# In the order of the alphabet, so the source comes first.
ALL_FUNCTIONS = tuple("".join(roles) for roles in itertools.permutations(VARIABLES, 3))

STUDY = Study(
    name="transfer",
    claim="In classic synthetic problems alignment correlates with positive transfer to similar "
    "tasks and negative to others.",
    source="the paper's, in its abstract",
    comparison="ours: tasks after Pratt (1993) and Caruana (1997), linear heads on frozen layers "
    "against the same network trained from scratch on the target's few points",
    sizes={
        "small": Config(),
        "medium": Config(seeds=20, natural_seeds=5),
        "paper": Config(
            seeds=50,
            natural_seeds=20,
            widths=(128, 128, 128),
            steps=(100, 300, 1000, 3000, 10_000),
            test_samples=10_000,
            dials=tuple(i / 16 for i in range(17)),
            functions=ALL_FUNCTIONS,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
