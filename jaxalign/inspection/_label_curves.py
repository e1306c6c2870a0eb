"""How many labels a linear head on each layer needs, predicted from the spectra alone."""

from collections import OrderedDict
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxalign._spectrum.types import Spectrum
from jaxalign.inspection._inspect import Inspection
from jaxalign.learning import learning_curve


def label_curves(
    inspection: Inspection, num_labels: Float[np.ndarray, " g"]
) -> OrderedDict[str, Float[np.ndarray, " g"]]:
    """{layer: the error on new rows of a ridge head fitted to n labels, as a share of ‖Y‖²/N}, at
    the best strength: ``learning.learning_curve`` of every layer.

    The docstring of ``learning_curve`` says how close such predictions came to fitted heads.

    Args:
      inspection: of N samples that the model was not trained on.
      num_labels: (g,) n.

    Returns:
      {layer: (g,) errors}, in order.

    Raises:
      ValueError: as ``learning_curve``.

    Example:
      >>> from collections import OrderedDict
      >>> import numpy as np
      >>> from jaxalign.alignment import spectrum_and_null
      >>> from jaxalign.inspection import Inspection, LayerPlan, label_curves
      >>> phi = np.random.default_rng(0).standard_normal((100, 4))
      >>> noise = 0.01 * np.random.default_rng(1).standard_normal(100)
      >>> s, null = spectrum_and_null(phi, phi[:, 0] + noise)
      >>> layers = OrderedDict(a=LayerPlan((1,), "float32", "mean", 1, 4))
      >>> inspection = Inspection(OrderedDict(a=s), OrderedDict(a=null), layers, {}, 100.0)
      >>> bool(label_curves(inspection, np.array([10.0, 100.0]))["a"][1] < 0.01)
      True

    Source: as ``learning.learning_curve``.
    """
    # Of one width all layers are one program.
    widest = max(len(s.singular_values) for s in inspection.spectra.values())
    return OrderedDict(
        (name, _error(_padded(s, widest), num_labels)) for name, s in inspection.spectra.items()
    )


def _padded(s: Spectrum, width: int) -> Spectrum:
    """With directions of σ = 0, which are beyond its rank."""
    missing = width - len(s.singular_values)
    return replace(
        s,
        singular_values=jnp.pad(jnp.asarray(s.singular_values), (0, missing)),
        energy=jnp.pad(jnp.asarray(s.energy), ((0, missing), (0, 0))),
    )


def _error(s: Spectrum, num_labels: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    error = np.asarray(learning_curve(s, num_labels.astype(np.float32), ridge="best"))
    return error.sum(axis=1) * float(s.num_samples) / float(np.asarray(s.total).sum())
