"""Alignment correlates with transfer, positive to similar tasks and negative to dissimilar ones.

The claim is the paper's (abstract). Its synthetic problem is not named in what could be read of it.
The tasks are ours, after the two classics: Pratt's (1993) of points in a square, by a line and by a
box, and Caruana's (1997) peaks functions.

An MLP learns a source task and is frozen. A linear head then learns each target from few points, by
gradient descent on the log-loss, on the representation as the measure prepares it (rows of norm 1,
so one step size suits all). On the same points, the trained network's layer is compared with two
references: the raw input and the same layer before training. Alignment gain is the area/(‖y‖²√n) of
the target's labels on the head's training points, trained − reference. Transfer gain is speed, the
mean log-loss over the head's steps, reference − trained; and accuracy on other points afterwards.

Each problem, measure of transfer and reference has three cells, in the last hidden layer: gains go
together (Spearman's ρ over the targets of a network, mean over networks), transfer is positive at
dial 0, and negative at dial 1. A problem whose source task was not learned is left out.
"""

import itertools

from jaxalign.data._synthetic import VARIABLES
from jaxalign.studies.framework.study import Study
from jaxalign.studies.transfer.design import SOURCE_FUNCTION, Config, cells
from jaxalign.studies.transfer.figure import figure
from jaxalign.studies.transfer.measurement import measure
from jaxalign.studies.transfer.verdict import verdict

ALL_FUNCTIONS = ["".join(roles) for roles in itertools.permutations(VARIABLES, 3)]

STUDY = Study(
    name="transfer",
    claim="In classic synthetic problems alignment correlates with positive transfer to similar "
    "tasks and negative to others.",
    source="the paper's, in its abstract",
    comparison="ours: tasks after Pratt (1993) and Caruana (1997), linear heads on frozen layers "
    "against raw inputs and untrained layers",
    sizes={
        "small": Config(),
        "medium": Config(seeds=30),
        "paper": Config(
            seeds=50,
            widths=(128, 128, 128),
            steps=10_000,
            source_samples=10_000,
            test_samples=10_000,
            dials=tuple(i / 16 for i in range(17)),
            functions=(
                SOURCE_FUNCTION,
                *(roles for roles in ALL_FUNCTIONS if roles != SOURCE_FUNCTION),
            ),
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
