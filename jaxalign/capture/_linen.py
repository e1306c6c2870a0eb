"""The flax.linen adapter: an interceptor sows activations into the collection "intermediates".

Models with scan or remat carry that collection along.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict

from jaxalign.capture._filters import Filters, captured, in_order, matches, require_all_found
from jaxalign.capture._states import missing_variables, require_variables

_COLLECTION = "intermediates"
_SOWN = "jaxalign_activation"


def linen_forward(
    module: nn.Module, filters: Filters, at: str
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(variables, *args) -> (output, activations)`` for the layers that fit the filters."""

    def forward(
        variables: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, OrderedDict[str, Any]]:
        require_variables(variables)
        # Names only: a traced value kept here would leak out of scan and remat.
        calls: list[str] = []
        layers: dict[str, nn.Module] = {}

        def record(call, inputs, settings, context):
            output = call(*inputs, **settings)
            layer = context.module
            name = ".".join(layer.path)
            if context.method_name == "__call__" and name:
                layers[name] = layer
                value = captured(at, output, inputs, settings)
                if isinstance(value, jax.Array) and matches(name, layer, filters):
                    calls.append(name)
                    layer.sow(_COLLECTION, _SOWN, value)
            return output

        # The model's own intermediates would be mixed with the activations.
        without_intermediates = {
            name: collection for name, collection in variables.items() if name != _COLLECTION
        }
        # Collections other than params are mutable, since BatchNorm and others may update them in
        # training mode. The updates are dropped: tap is pure. One that is missing is not: flax
        # would fill it with initial values, and say nothing.
        mutable = [name for name in without_intermediates if name != "params"] + [_COLLECTION]
        with nn.intercept_methods(record), missing_variables(variables):
            output, updated = module.apply(without_intermediates, *args, mutable=mutable, **kwargs)
        sown = flatten_dict(updated.get(_COLLECTION, {}))
        values = {".".join(path[:-1]): sown[path] for path in sown if path[-1] == _SOWN}
        _require_sown(calls, values)
        require_all_found(
            filters,
            {name: layers.get(name) for name in values},
            f"were asked for and their {at} was never computed, or is no array",
            layers,
        )
        return output, in_order(calls, values)

    return forward


def _require_sown(calls: Sequence[str], values: Mapping[str, Any]) -> None:
    lost = [name for name in dict.fromkeys(calls) if name not in values]
    if lost:
        raise ValueError(
            f"layers {lost} ran inside a flax.linen scan or vmap that drops what its layers sow; "
            f"give it variable_axes={{'{_COLLECTION}': 0}}, or leave these layers out"
        )
