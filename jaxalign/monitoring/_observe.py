"""For training steps that cannot be touched: an optax transformation that changes no update and
measures on the way.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from jaxalign._core.kinds import as_count, found, require_function
from jaxalign.capture import Tap


class Observed(NamedTuple):
    """The state of ``observe``; ``optax.tree.get(optimizer_state, "records")`` finds its records in
    any chain.

    Attributes:
      step: () int32, updates seen.
      measured_at: () int32, the number of updates before which the records were taken.
      records: what ``measure`` returned then.
    """

    step: Array
    measured_at: Array
    records: Any


def observe(measure: Callable[[Any], Any], *, every: int = 1) -> optax.GradientTransformation:
    """An optax transformation that passes updates on unchanged and keeps ``measure(parameters)`` in
    its state.

    For loops that belong to somebody else: ``optax.chain(optax.adam(1e-3), ja.observe(measure))``
    needs no other change, works in ``lax.scan``, and what it measures are the parameters that the
    gradient was taken at.

    Args:
      measure: a function of the parameters as the optimizer knows them: a ``Monitor`` of a model
        that has nothing but parameters, or ``lambda params: monitor({"params": params})`` for a
        flax.linen module.
      every: measure before updates 0, every, 2·every, ...; in between the last records stay.

    Returns:
      GradientTransformation of state ``Observed``; ``init`` measures once.

    Raises:
      ValueError: every under 1; on the update, no parameters given.
      TypeError: ``measure`` that is not a function; ``every`` that is not a whole number.

    Example:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import jaxalign as ja
      >>> x, y = jnp.eye(4), jnp.ones((4, 1))
      >>> area = lambda w: ja.alignment_area(ja.spectrum(x @ w, y))
      >>> optimizer = optax.chain(optax.sgd(0.5), ja.observe(area))
      >>> w = jnp.eye(4)
      >>> state = optimizer.init(w)
      >>> updates, state = optimizer.update(w, state, w)
      >>> updates, state = optimizer.update(w, state, optax.apply_updates(w, updates))
      >>> optax.tree.get(state, "records").tolist()
      [2.0]

    Source: ours.
    """
    remedy = "pass a Monitor, or a function of the parameters"
    if isinstance(measure, Tap | nnx.Module):
        raise TypeError(
            f"measure must be a function of parameters, found {found(measure)}; {remedy}"
        )
    require_function(measure, "measure", remedy)
    every = as_count(every, "every")

    def measured(parameters: optax.Params) -> Any:
        # Copies: a loop that donates its state must not take arrays that are the parameters' or the
        # measure's own too.
        return jax.tree.map(jnp.array, measure(parameters))

    def init(parameters: optax.Params) -> Observed:
        # Two arrays, since none can be donated twice.
        step, measured_at = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        return Observed(step, measured_at, measured(parameters))

    def update(updates: optax.Updates, state: Observed, parameters: optax.Params | None = None):
        if parameters is None:
            raise ValueError(
                "observe needs the parameters: call optimizer.update(gradients, state, parameters)"
            )
        due = state.step % every == 0
        records = jax.lax.cond(due, lambda: measured(parameters), lambda: state.records)
        return updates, Observed(
            state.step + 1, jnp.where(due, state.step, state.measured_at), records
        )

    return optax.GradientTransformation(init, update)
