"""One label spectrum predicts the learning curve of ridge heads.

Heads min ‖Φw − y‖² + ρ‖w‖² are fitted to n rows and tested on others. Their error per row, mean
over draws of all rows, is compared with ``learning_curve`` of the spectrum of N rows, which holds
no head and no test row. The rows are ones that the network was not trained on. A curve, of a data
set, a representation and a strength, is as good as the point where it misses most, of all n. What
is left of the tolerance there, mean of its curves, is the effect in a data set. Data sets are the
unit of every interval. A cell is a representation with a strength, over data sets.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.learning.design import Config, cells
from jaxalign.studies.learning.figure import figure
from jaxalign.studies.learning.measurement import measure
from jaxalign.studies.learning.verdict import verdict

STUDY = Study(
    name="learning",
    claim=(
        "The label spectrum of N held-out rows predicts the error of ridge heads fitted to n rows "
        "within 5 %."
    ),
    source="ours",
    comparison="ours: the prediction of the deterministic equivalent of ridge regression against "
    "heads fitted to rows of the same data set, where the two differ most",
    sizes={
        "small": Config(),
        "medium": Config(draws=50),
        "paper": Config(
            networks=("efficientnet-lite0", "efficientnet-lite1", "squeezenet1.1"),
            sizes=(20, 30, 40, 75, 150, 300, 450, 600),
            ridges=(1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0),
            draws=100,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
