"""Alignment rises with training, across architectures and optimizers.

This is the paper's claim, as far as it could be read. Every architecture is trained by every
optimizer on every data set that it takes, with several seeds. The last hidden layer decides, which
is what the linear head reads; the table has all layers. The effect in a cell (architecture ×
optimizer × data set) is the rise of the area ∫A dτ in training, mean over networks. It is a share
of the largest area that the layer's span allows, ‖Py‖²√n, since no direction of it can hold the
rest of the targets, such as the noise of a regression. ‖Py‖² is that before or after training,
whichever is larger; it divides both areas, so that the sign is that of the area's own rise.

Networks that hardly beat the best constant answer say nothing about training, so their cells are
named and left out, also if one seed diverged. The samples trained on decide; a note says what comes
out on others. The sizes of the networks and the step sizes are our choices.
"""

from jaxalign.studies.emergence.design import Config, cells
from jaxalign.studies.emergence.figure import figure
from jaxalign.studies.emergence.measurement import measure
from jaxalign.studies.emergence.verdict import verdict
from jaxalign.studies.framework.study import Study

STUDY = Study(
    name="emergence",
    claim="Training aligns the top singular directions of hidden representations with the "
    "targets, whatever the architecture and the optimizer.",
    source="the paper's",
    comparison="ours: trained against untrained, in this design of networks and data sets",
    sizes={
        "small": Config(),
        "medium": Config(seeds=10, num_samples=400, side=16, steps=200),
        "paper": Config(
            seeds=10,
            num_samples=600,
            side=28,
            steps=1000,
            regression_steps=3000,
            batch_size=64,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
