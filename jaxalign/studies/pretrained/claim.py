"""Existing deep networks are highly aligned: pretrained on ImageNet, and asked about other tasks.

The claim that existing high-performance deep CNNs show high alignment is the paper's. What "high"
is compared with, and the data, are ours: the same network untrained, pixels in both usual scalings,
and handcrafted features (HOG). Tasks are two groups of classes: of CIFAR-10, and of a thousand
photos, one of each ImageNet class, which are the networks' own domain. They share no image, and are
the unit of every interval. Fashion-MNIST and digits are far from what the networks were trained on,
and are a row of their own; so are texts, for a sentence encoder, if it is installed.

Two measures decide, and were declared before anything was measured: A(0.15√n)/‖y‖², the paper's
object at one threshold, and centred kernel alignment, which no common mean of rows changes. The
area is reported. It is no test: unit rows share their energy, n in all, with their mean, whose part
differs from representation to representation, and between two scalings of the same pixels.

Layers are compared alike on both sides, maps averaged over positions: the last with the last, and
the best with the best. Which is the best, of the published and of the untrained network, was chosen
on the odd classes and written into choice.json (see ``choice``), before the even classes, which
decide, were looked at.

A cell is a network, a choice of layers and a measure: the lead over the best reference of each
task. The deciding effect is the least of the four means over networks, over tasks.
"""

from jaxalign.studies.framework.study import Study
from jaxalign.studies.pretrained.design import Config, cells
from jaxalign.studies.pretrained.figure import figure
from jaxalign.studies.pretrained.measurement import measure
from jaxalign.studies.pretrained.published import IMAGES
from jaxalign.studies.pretrained.verdict import verdict

STUDY = Study(
    name="pretrained",
    claim="Networks that were trained on ImageNet are more aligned with tasks on natural images "
    "than untrained ones, pixels and handcrafted features are.",
    source="the paper's, that existing high-performance deep CNNs show high alignment",
    comparison="ours: A(0.15√n)/‖y‖² and centred kernel alignment, in the last and in the best "
    "layers, against the best of untrained network, pixels and HOG on each task",
    sizes={
        "small": Config(),
        "medium": Config(networks=tuple(IMAGES), num_samples=400),
        "paper": Config(
            networks=tuple(IMAGES),
            num_samples=1000,
            pairs=((0, 6), (2, 4), (1, 3), (5, 7), (8, 9)),
            texts=(("stats", "special"), ("signal", "linalg"), ("ndimage", "optimize")),
            far_samples=1000,
            seeds=5,
        ),
    },
    cells=cells,
    measure=measure,
    verdict=verdict,
    figure=figure,
)
