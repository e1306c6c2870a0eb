"""Alignment speeds up learning: gradient descent on linear heads, over many representations.

The claim is the paper's ("alignment between top singular vectors and targets can speed up
learning"). The experiment is ours, since the paper's could not be read. On a representation,
prepared as for the measure, full batches descend ½‖Φw − y‖² from w = 0. Steps are counted until a
given share of what can be learned at all, the part of y in the column space, is left; the area is
over that part too.

Four questions are asked. (1) Does descent do what `predicted_convergence` says, and does the bound
that knows A(τ) alone hold at every step and τ? This is algebra, so it must hold to rounding. (2)
The whole spectrum decides; does the one number, the area under the curve, order the representations
that networks have: the inputs, and the layers of several families, untrained and trained?
Spearman's ρ of area and speed, −steps, should be above 0, on the rows that a network was trained on
and on rows that it never saw. Layers of one network are not independent. So over all cells the
interval comes from drawing whole networks, and in a cell it is that of the mean of its networks'
own ρ. (3) Is it the targets, or would the singular values do? The null is the area with the same
labels permuted, which knows the singular values only. (4) With one Φ and all 126 even splits of ten
classes the singular values are the same, only alignment differs. Does it order the splits by speed,
and by the accuracy of the head on rows that neither head nor network saw? The splits share ten
classes, so the classes are the unit: what a permutation of them makes of ρ gives p-value and
interval (`labelings.py`).

The step size is 1/σ_1², the largest that is safe for each representation, so steps depend on
σ_i/σ_1, and one with a small σ_1 gets larger steps: a confounder. Hence everything is measured
again with one step size for all, 1/n, safe since rows are normalised (σ_1² ≤ n). Steps past the
horizon are not known: they are tied for the last rank, which is all a rank correlation needs.

It is contradicted where ρ's interval is below 0, or a prediction missed.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.shared.networks import ARCHITECTURES
from jaxalign.studies.speed.design import TEN_CLASSES, Config, cells
from jaxalign.studies.speed.figure import figure
from jaxalign.studies.speed.measurement import measure
from jaxalign.studies.speed.verdict import verdict

STUDY = Study(
    name="speed",
    claim="Alignment between top singular vectors and targets speeds up learning: descent on a "
    "linear head takes fewer steps.",
    source="the paper's",
    comparison="ours: linear heads on layers of many networks, and for all even splits of ten "
    "classes on one layer",
    sizes={
        "small": Config(),
        "medium": Config(seeds=10, ten_classes=TEN_CLASSES, draws=3),
        "paper": Config(
            architectures=tuple(one.name for one in ARCHITECTURES),
            large_images=True,
            seeds=20,
            num_samples=1000,
            training=2000,
            horizon=10_000,
            ten_classes=TEN_CLASSES,
            draws=3,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
