"""Existing deep networks are highly aligned: pretrained on ImageNet, and asked about other tasks.

The claim that existing high-performance deep CNNs show high alignment is the paper's. What "high"
is compared with, and the data, are ours: the same network untrained, the pixels, and handcrafted
features (HOG). The networks are those with published weights that can be installed; the tasks are
pairs of Fashion-MNIST that share no image, and even against odd digits. A sentence encoder on
two-class texts is the row for language, if it is installed.

Maps are averaged over positions, as the networks' own heads do; the last such layer decides. The
last layer of an untrained network is a weak reference: its averages are nearly one direction. So
every layer of it has to be beaten, and its last one unpooled, with all positions as features. All
layers have unit rows and the same n, so areas over ‖y‖²√n compare between widths. A(0⁺) does not:
all features of rank n have the value ‖y‖² there. The area weighs every share of y with its σ/√n.
Its value by chance, Σσ/(n√n), still grows with the number of directions, so permuted labels are
measured too.

A cell is the lead of the last layer over one of these on one task, the smallest of all seeds. The
deciding effect is the lead over the best of them, over tasks.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.pretrained.design import Config, cells
from jaxalign.studies.pretrained.figure import figure
from jaxalign.studies.pretrained.measurement import measure
from jaxalign.studies.pretrained.verdict import verdict

STUDY = Study(
    name="pretrained",
    claim="Networks that were trained on ImageNet are more aligned with new tasks than untrained "
    "ones, pixels and handcrafted features are.",
    source="the paper's, that existing high-performance deep CNNs show high alignment",
    comparison="ours: against untrained networks, pixels and HOG, on pairs of Fashion-MNIST and "
    "digits",
    sizes={
        "small": Config(),
        "medium": Config(seeds=5),
        "paper": Config(
            networks=(
                "efficientnet-lite0",
                "efficientnet-lite1",
                "efficientnet-lite2",
                "squeezenet1.1",
            ),
            pairs=((0, 6), (2, 4), (1, 3), (5, 7), (8, 9)),
            texts=(("stats", "special"), ("signal", "linalg"), ("ndimage", "optimize")),
            num_samples=1000,
            seeds=5,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
