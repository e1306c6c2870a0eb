"""Alignment also emerges with random labels.

Networks that can only memorize align their last layers with what they memorize.

That alignment emerges on random labels too is said in the abstract of the paper's first version.
The data, the networks and the comparisons are ours. The same images get their true labels, or a
permutation of them. On the labels that a network was trained on, its last hidden layer is compared
with itself before training. It is also compared with itself after training on permutations that the
network never saw: on the exact mean over all n! of them. The column "chance" is the closed form for
labels in random directions, E[A(τ)] = ‖y‖²·#{σ_i ≥ τ}/n.

Each network has a permutation of its own, so permutations are the unit. The effects are the area of
trained networks less each of both. The notes tell
how far random labels were fitted, and in how many steps compared with true ones; both decide
nothing.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.labels.design import Config, cells
from jaxalign.studies.labels.figure import figure
from jaxalign.studies.labels.measurement import measure
from jaxalign.studies.labels.verdict import verdict

FAMILIES = ("ReLU MLP", "tanh MLP", "CNN", "ResNet", "transformer")

STUDY = Study(
    name="labels",
    claim="Training on random labels aligns the last hidden layer with them.",
    source="the paper's, in the abstract of its first version",
    comparison="ours: the labels trained on against untrained networks and labels never seen",
    sizes={
        "small": Config(),
        "medium": Config(draws=20),
        "paper": Config(
            pairs=((0, 6), (2, 4), (1, 3), (5, 7), (8, 9)),
            on_pairs=FAMILIES,
            on_digits=FAMILIES,
            num_samples=1000,
            draws=20,
            seeds=10,
            steps=6000,
            every=100,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
