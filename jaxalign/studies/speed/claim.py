"""Alignment speeds up learning: gradient descent on linear heads, over many representations.

The claim is the paper's ("alignment between top singular vectors and targets can speed up
learning"). The experiment is ours, since the paper's could not be read. Representations are the
layers of networks of several families, untrained and trained, and the inputs. On each, prepared as
for the measure, full batches descend ½‖Φw − y‖² from w = 0, and the steps are counted until the
loss is a given share of ‖y‖².

Three questions are asked. (1) Does descent do what `predicted_convergence` says, and does the bound
that knows A(τ) alone hold at every step and τ? This is algebra, so it must hold to rounding. (2)
The whole spectrum decides; does the one number, the area under the curve, order the representations
that networks have? Spearman's ρ of area and speed, −steps, should be above 0. Layers of one network
are not independent. So over all cells the interval comes from drawing whole networks, and in a cell
it is that of the mean of its networks' own ρ. (3) Is it the targets, or would the singular values
do? The null is the area with the same labels permuted, which knows the singular values only.

The step size is 1/σ_1², the largest that is safe for each representation, so steps depend on
σ_i/σ_1, and one with a small σ_1 gets larger steps: a confounder. Hence everything is measured
again with one step size for all, 1/n, safe since rows are normalised (σ_1² ≤ n). Steps past the
horizon are not known: they are tied for the last rank, which is all a rank correlation needs.

It is contradicted where ρ's interval is below 0, or a prediction missed.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.shared.networks import ARCHITECTURES
from jaxalign.studies.speed.design import Config, cells
from jaxalign.studies.speed.figure import figure
from jaxalign.studies.speed.measurement import measure
from jaxalign.studies.speed.verdict import verdict

STUDY = Study(
    name="speed",
    claim="Alignment between top singular vectors and targets speeds up learning: descent on a "
    "linear head takes fewer steps.",
    source="the paper's",
    comparison="ours: linear heads on layers of many networks, one spectrum each",
    sizes={
        "small": Config(),
        "medium": Config(seeds=10),
        "paper": Config(
            architectures=tuple(one.name for one in ARCHITECTURES),
            large_images=True,
            seeds=20,
            num_samples=1000,
            training=2000,
            horizon=10_000,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
