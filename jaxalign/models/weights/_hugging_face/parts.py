"""The tensors of a file that those of a model are made of, one or several for each."""

from collections.abc import Callable, Mapping

import numpy as np
from flax import nnx

from jaxalign.models.weights._assign import forms
from jaxalign.models.weights._fit import Form


class Parts:
    """Which tensors of a file are concatenated, along their first axis, to those of a model.

    Args:
      model: with torch's names and layouts, as ``assign`` has them.
      saved_names: from such a name to those in the file; a tensor of no parts is zeros.
    """

    def __init__(self, model: nnx.Module, saved_names: Callable[[str], tuple[str, ...]]):
        self._forms = forms(model)
        self._names = {name: saved_names(name) for name in self._forms}

    @property
    def saved(self) -> dict[str, Form]:
        """The tensors that the file must hold."""
        wanted = {}
        for name, (shape, dtype) in self._forms.items():
            for part in self._names[name]:
                rows = shape[0] // len(self._names[name])
                wanted[part] = Form((rows, *shape[1:]), dtype)
        return wanted

    def joined(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's tensors, of those in the file."""
        return {
            name: self._one(tensors, name) if self._names[name] else np.zeros(*form)
            for name, form in self._forms.items()
        }

    def _one(self, tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        parts = [tensors[part] for part in self._names[name]]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
