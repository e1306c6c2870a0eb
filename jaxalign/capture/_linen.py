"""The flax.linen adapter: an interceptor sows activations into the collection that scanned and
rematted models carry along.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict

from jaxalign.capture._filters import Filters, in_order, matches, require_all_found

_COLLECTION, _SOWN = "intermediates", "jaxalign_activation"


def linen_forward(
    module: nn.Module, filters: Filters, at: str
) -> Callable[..., tuple[Any, OrderedDict[str, Any]]]:
    """``(variables, *args) -> (output, activations)`` of the layers of ``module`` that fit the
    filters.
    """

    def forward(
        variables: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, OrderedDict[str, Any]]:
        calls: list[
            str
        ] = []  # names only: a traced value kept here would leak out of scan and remat
        seen: dict[str, nn.Module] = {}

        def record(call, inputs, settings, context):
            output = call(*inputs, **settings)
            layer, name = context.module, ".".join(context.module.path)
            if context.method_name == "__call__" and name:
                seen[name] = layer
                value = (
                    output if at == "output" else next(iter((*inputs, *settings.values())), None)
                )
                if isinstance(value, jax.Array) and matches(name, layer, filters):
                    calls.append(name)
                    layer.sow(_COLLECTION, _SOWN, value)
            return output

        own = {name: held for name, held in variables.items() if name != _COLLECTION}
        with nn.intercept_methods(record):
            # What a forward pass would update, such as BatchNorm's averages, may change here, and
            # is dropped.
            output, updated = module.apply(own, *args, mutable=nn.DenyList("params"), **kwargs)
        sown = flatten_dict(updated.get(_COLLECTION, {}))
        values = {".".join(path[:-1]): held for path, held in sown.items() if path[-1] == _SOWN}
        if lost := [name for name in dict.fromkeys(calls) if name not in values]:
            raise ValueError(
                f"layers {lost} ran inside a flax.linen scan or vmap that drops what its layers sow; "
                f"give it variable_axes={{'{_COLLECTION}': 0}}, or leave these layers out"
            )
        require_all_found(
            filters,
            {name: seen.get(name) for name in values},
            f"were asked for and their {at} was never computed, or is no array",
            seen,
        )
        return output, in_order(calls, values)

    return forward
