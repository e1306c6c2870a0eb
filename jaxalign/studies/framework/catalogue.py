"""The studies in the paper's order, then its demo and what is ours, each with its claim in brief.

Listing them imports none of them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxalign.studies.framework.extra import require
from jaxalign.studies.framework.study import Study

STUDIES: Mapping[str, str] = MappingProxyType(
    {
        "emergence": (
            "training aligns hidden layers with the targets, in every architecture and with every "
            "optimizer"
        ),
        "depth": "more alignment arises from depth",
        "layers": "layers closer to the output are more aligned",
        "pretrained": "published deep networks are highly aligned",
        "labels": "alignment emerges on random labels, too",
        "speed": "alignment speeds up learning",
        "transfer": (
            "alignment goes with positive transfer to similar tasks and negative transfer to "
            "dissimilar ones"
        ),
        "demo": "the curves of the paper's demo come out with every seed",
        "learning": "a label spectrum predicts the error of ridge heads for any number of rows",
    }
)
"""Name → claim in brief; the study itself states it in full."""


def study(name: str) -> Study[Any]:
    """The study of a name, imported now.

    Raises:
      ValueError: there is none of that name.
      ModuleNotFoundError: it needs a package that is not installed.
    """
    if name not in STUDIES:
        raise ValueError(f"there is no study {name!r}; studies are {', '.join(STUDIES)}")
    return require(f"jaxalign.studies.{name}.claim").STUDY
