"""How an inspection was made, in sentences for its page."""

from jaxalign.inspection._inspect import Inspection

_MEANINGS = {
    "mean": "averaged over their positions",
    "flatten": "flattened, each position and channel a feature",
    "samples": "taken position by position, each a row with the target of its sample",
    "cls": "reduced to their first position",
}


def notes(inspection: Inspection) -> list[str]:
    """What numbers of this inspection depend on: the pooling of maps, and centring.

    Args:
      inspection: what ``inspect`` measured.

    Returns:
      [sentence, ...].

    Example:
      >>> from collections import OrderedDict
      >>> from jaxalign.inspection import Inspection, LayerPlan, notes
      >>> layers = OrderedDict(conv=LayerPlan((8, 8, 16), "float32", "mean", 1, 17))
      >>> notes(Inspection(OrderedDict(), OrderedDict(), layers, {}, 10.0, centered=True))[0]
      'Maps are averaged over their positions (reduce="mean"): conv.'

    Source: ours.
    """
    layers_by_way: dict[str, list[str]] = {}
    for name, layer in inspection.layers.items():
        if len(layer.shape) > 1:
            layers_by_way.setdefault(layer.reduce, []).append(name)
    pooling = [
        f'Maps are {_MEANINGS[way]} (reduce="{way}"): {_listed(names)}.'
        for way, names in layers_by_way.items()
    ]
    return [*pooling, _centring(inspection.centered)]


def _listed(names: list[str], most: int = 4) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} other layers"


def _centring(centered: bool) -> str:
    if centered:
        return (
            "The means of features and targets are subtracted (the default for real-valued "
            "targets), so a common direction of all samples does not count."
        )
    return (
        "Features and targets are not centred (the default for classes), so the mean of the "
        "targets counts where a layer has a common direction of all samples."
    )
