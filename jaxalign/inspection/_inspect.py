"""Every layer's label spectrum over a stream of batches: one jitted pass of the model, sums of
fixed size.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

from jaxalign._core.batches import first_of, require_stream
from jaxalign._core.digests import digest, digest_of_program
from jaxalign._core.kinds import require_flag, require_function, require_number
from jaxalign._core.mesh import for_a_model, require_no_trace
from jaxalign._spectrum.moments import basis
from jaxalign._spectrum.routes.table import require_method
from jaxalign._spectrum.types import Spectrum
from jaxalign.alignment import spectrum_and_null
from jaxalign.capture import Tap
from jaxalign.capture._tap import require_tap
from jaxalign.inspection._batches import PAIR, Batch, Reading, TargetRange, checked
from jaxalign.inspection._masks import Mask, require_fit
from jaxalign.inspection._passes import Bases, Callback, Sums, run_pass
from jaxalign.inspection._plan import Layers, Reductions, plan, require_memory
from jaxalign.inspection._unfinished import Unfinished

Method = Literal["auto", "moments", "refined"]


@dataclass(frozen=True)
class Inspection:
    """What ``inspect`` measured.

    Attributes:
      spectra: layer → Spectrum, in the order layers run; "input" first, if the inputs were
        measured.
      nulls: layer → the permutation null of that Spectrum: its mean over all orders of the targets.
      layers: layer → LayerPlan: its shape, reduction and width.
      left_out: layer → why it was not measured.
      num_samples: n, or Σ w_i of weighted rows.
      centered: whether the means of features and targets were subtracted.
    """

    spectra: OrderedDict[str, Spectrum]
    nulls: OrderedDict[str, Spectrum]
    layers: Layers
    left_out: dict[str, str]
    num_samples: float
    centered: bool = False

    def rows(self, layer: str) -> float:
        """The number of rows of the layer's matrix: n, times the positions where those were taken
        as samples.
        """
        return self.num_samples * self.layers[layer].positions

    def thresholds(self, count: int = 64) -> Float[np.ndarray, " count"]:
        """``count`` values of τ, evenly spaced from 0 to √rows of the longest matrix, which no σ of
        unit rows exceeds.
        """
        return np.linspace(0, max(map(self.rows, self.layers)) ** 0.5, count, dtype=np.float32)


def inspect(
    tap: Tap,
    state: Any,
    batches: Iterable[tuple[Any, ...] | Mapping[str, Any]],
    *,
    keys: Sequence[str] = ("image", "label"),
    classes: Sequence[Any] | None = None,
    reduce: Reductions = "mean",
    mask: Mask | None = None,
    centered: bool | None = None,
    method: Method = "auto",
    memory_limit: int = 4 * 2**30,
    callback: Callback | None = None,
    unfinished: str | Path | None = None,
) -> Inspection:
    """Every tapped layer's label spectrum over a stream of batches, and its permutation null, in
    the memory of two batches and one sum per layer.

    Rows are prepared as in the paper (``prepare``: a 1 appended, length one). The model runs once
    per batch, as it is: put it into evaluation mode first, or BatchNorm and Dropout act as in
    training.

    Args:
      tap: the layers, from ``tap(model, ...)``.
      state: the model's state, as the tap takes it.
      batches: of (inputs, targets) or (inputs, targets, weights): inputs (n, ...) or a tuple of
        several arguments of n rows; targets (n, k) from ``encode_targets(labels, classes=...)``;
        weights (n,) w_i ≥ 0, where a row of weight 0 does not count. Short batches are padded with
        rows of weight 0, so that batches of one size, but for the last, compile once. Or dicts, as
        grain's loaders give, of these by ``keys``.
      keys: of inputs and targets, and perhaps weights, in a dict.
      classes: the classes, where labels (n,) stand in place of targets, which are then made by
        ``encode_targets(labels, classes=classes)``.
      reduce: what becomes of the positions of maps, for all layers or by glob pattern; see
        ``plan``. By default they are averaged, as ``monitor`` does.
      mask: a function from the model's arguments to booleans (n, t), False for padding, such as
        ``lambda tokens, mask: mask > 0``. Of layers (n, t, d) padded positions do not count in
        means and samples, and are 0 where layers are flattened. The model is to mask its attention.
      centered: subtract the means of all rows. By default real-valued targets are centred, and
        ±1 codes of classes are not: without a bias, the mean of a regression target would be
        most of its norm, and the same in every layer.
      method: "moments": one pass; "refined": a second pass over the batches, for the accuracy of a
        float64 SVD; "auto": "refined" if a layer is float64 and the batches can be read again, else
        "moments", which keeps the digits that float32 layers have.
      memory_limit: bytes that the sums of all layers may take, (d + 2)(d + 1 + k) float64 each,
        three times that for two passes.
      callback: called with ("first pass" or "second pass", samples seen so far) and ("solving",
        layers done).
      unfinished: a folder to keep the sums in, every half a minute and when interrupted. The same
        call goes on from there: batches that were added are read, but not run. Remove it when
        the inspection is done.

    Returns:
      Inspection.

    Raises:
      ValueError: no batch; inputs, targets and weights that differ in n, or batches in shape;
        values that are not finite; targets that are constant, if they are centred; no layer that
        can be measured; sums over the memory limit (before the model runs); a layer that yields NaN
        or Inf; an unknown method; "refined" for an iterator, which is used up after one pass, or
        for a stream whose second pass yields another number of rows.
      TypeError: another kind of argument: the model where its tap or its state is meant, an array
        where batches are.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.data import fashion_mnist
      >>> from jaxalign.inspection import inspect
      >>> from jaxalign.models import MLP
      >>> images = fashion_mnist(classes=(2, 4)).train
      >>> y = np.asarray(ja.encode_targets(images.labels, classes=(0, 1)))
      >>> model = MLP(784, (32, 32), 1, rngs=nnx.Rngs(0))
      >>> batches = [(images.inputs[i : i + 256], y[i : i + 256]) for i in range(0, 1000, 256)]
      >>> inspection = inspect(ja.tap(model, "hidden_*"), nnx.state(model), batches)
      >>> {name: s.singular_values.shape for name, s in inspection.spectra.items()}
      {'input': (785,), 'hidden_1': (33,), 'hidden_2': (33,)}

    Source: the measure is that of Imani, Hu, White (TMLR 2022); ours for a stream.
    """
    require_no_trace("inspect")
    require_tap(tap)
    require_stream(batches, PAIR)
    require_method(method, ("moments", "refined"))
    require_number(memory_limit, "memory_limit")
    _require_parts(centered, mask, callback)
    reading = Reading(keys, classes)
    stream = checked(batches, reading, mask)
    first = first_of(stream, PAIR)
    state = for_a_model(state)
    planned = plan(tap, state, first.arguments, reduce=reduce)
    require_fit(first.counted, planned.layers)
    refined = _is_refined(method, planned.layers, can_be_read_again=iter(batches) is not batches)
    require_memory(planned.layers, np.shape(first.targets)[1], 3 if refined else 1, memory_limit)

    kept = None
    if unfinished is not None:
        known = _identity(tap, state, mask, first, planned.layers, refined)
        kept = Unfinished(Path(unfinished), known)
    run = partial(run_pass, tap, planned.layers, state, callback=callback, unfinished=kept)
    total = run(chain([first], stream), stage="first pass")
    num_samples = total.num_samples
    about_mean = _is_centered(total.targets, centered)
    bases = None
    if refined:
        bases = _bases(total.sums, about_mean)
        total = run(checked(batches, reading, mask), bases, stage="second pass")
        _require_same_rows(num_samples, total.num_samples)
    spectra, nulls = _solve(total.sums, bases, about_mean, callback)
    return Inspection(
        spectra, nulls, planned.layers, planned.left_out, num_samples, centered=about_mean
    )


def _require_parts(centered: Any, mask: Any, callback: Any) -> None:
    """Raise for a part that is given and of another kind."""
    if centered is not None:
        require_flag(centered, "centered")
    if mask is not None:
        require_function(mask, "mask", "pass a function of the model's arguments")
    if callback is not None:
        require_function(callback, "callback", "pass a function of (stage, number)")


def _identity(
    tap: Tap, state: Any, mask: Mask | None, first: Batch, layers: Layers, refined: bool
) -> str:
    """What sums are known by: the model, its weights, and what is measured."""
    program = digest_of_program(tap, state, *first.arguments)
    weights = digest(jax.tree.map(lambda x: x if hasattr(x, "shape") else np.asarray(x), state))
    masked = "" if mask is None else digest_of_program(mask, *first.arguments)
    return f"{program} {weights} {list(layers.items())} {refined}{masked}"


def _is_refined(method: Method, layers: Layers, *, can_be_read_again: bool) -> bool:
    """Whether the batches are read twice."""
    if method == "refined" and not can_be_read_again:
        raise ValueError(
            "method 'refined' reads batches twice, found an iterator; "
            "pass a list, or what makes a new iterator"
        )
    has_float64 = any(layer.dtype == "float64" for layer in layers.values())
    return method == "refined" or (method == "auto" and has_float64 and can_be_read_again)


def _is_centered(targets: TargetRange, centered: bool | None) -> bool:
    """Whether means are subtracted: as asked, else by the kind of the targets."""
    about_mean = not targets.coded if centered is None else centered
    if about_mean and targets.constant:
        raise ValueError("targets are constant, so about their mean they are 0; pass other targets")
    return about_mean


def _require_same_rows(first: float, second: float) -> None:
    if first != second:
        raise ValueError(
            "batches must be the same on both passes, "
            f"found rows of weight {first:g} and then {second:g}"
        )


def _bases(sums: Sums, centered: bool) -> Bases:
    """The bases of the second pass; the moments of the first one are removed from ``sums``."""
    bases: Bases = OrderedDict()
    while sums:
        name, first = sums.popitem(last=False)
        bases[name] = basis(first, centered=centered)
    return bases


def _solve(
    sums: Sums, bases: Bases | None, centered: bool, callback: Callback | None
) -> tuple[OrderedDict[str, Spectrum], OrderedDict[str, Spectrum]]:
    """The spectra of all layers and their nulls; ``sums`` is emptied."""
    spectra: OrderedDict[str, Spectrum] = OrderedDict()
    nulls: OrderedDict[str, Spectrum] = OrderedDict()
    while sums:
        # A layer's moments are freed once they are solved: the eigensolver needs the memory.
        name, total = sums.popitem(last=False)
        layer_basis = None if bases is None else bases.pop(name)
        spectra[name], nulls[name] = spectrum_and_null(total, basis=layer_basis, centered=centered)
        if callback:
            callback("solving", len(spectra))
    return spectra, nulls
