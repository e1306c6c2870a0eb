"""Networks of one depth, measured all along their training: after all steps, and at one loss."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxalign.monitoring import of_outputs
from jaxalign.runs import History
from jaxalign.studies.depth.design import REAL, Config
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.held_out import HELD_OUT, ROWS, TRAINED_ON
from jaxalign.studies.shared.networks import mlp
from jaxalign.studies.shared.problems import Parts, parts_named, relabelled
from jaxalign.studies.shared.seeds import initial, monitor_of, share
from jaxalign.training import fit


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per seed and layer, on the rows trained on and on those held out."""
    parts = parts_named(cell["problem"], config.num_samples, config.side)
    if cell["labels"] != REAL:
        parts = Parts(*(relabelled(part, seed=0) for part in parts))
    history = _train(config, int(cell["depth"]), parts)
    loss = history.layers[f"{TRAINED_ON}/outputs"]["training_loss"]
    level = config.loss * parts.trained_on.constant_loss
    steps = np.broadcast_to(history.measured[:, None].astype(float), loss.shape)
    steps_to_loss = at_level(steps, loss, level)
    rows: list[Row] = []
    for part in (TRAINED_ON, HELD_OUT):
        layers = [name for name in history.layers if "share" in history.layers[name]]
        layers = [name for name in layers if name.startswith(f"{part}/")]
        for position, name in enumerate(layers):
            # What no step changes, the inputs, is repeated for each network.
            shares = np.broadcast_to(history.layers[name]["share"], loss.shape)
            at_loss = at_level(shares, loss, level)
            rows += [
                {
                    **cell,
                    ROWS: part,
                    "seed": seed,
                    "layer": name.removeprefix(f"{part}/"),
                    "position": position,
                    "untrained": float(shares[0, seed]),
                    "trained": float(shares[-1, seed]),
                    "at_loss": float(at_loss[seed]),
                    "steps_to_loss": float(steps_to_loss[seed]),
                    "loss_end": float(loss[-1, seed]),
                    "loss_constant": parts.trained_on.constant_loss,
                }
                for seed in range(config.seeds)
            ]
    return rows


def at_level(values: np.ndarray, loss: np.ndarray, level: float) -> np.ndarray:
    """(s,) values (t, s) where the losses (t, s) first come down to a level.

    Between two measurements both are taken to be straight; NaN where a loss stays above the level.

    Example:
      >>> import numpy as np
      >>> from jaxalign.studies.depth.measurement import at_level
      >>> loss = np.array([[1.0, 1.0], [0.6, 0.9], [0.2, 0.8]])
      >>> at_level(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), loss, 0.4)
      array([1.5, nan])
    """
    below = loss <= level
    after = np.maximum(below.argmax(axis=0), 1)
    networks = np.arange(loss.shape[1])
    high, low = loss[after - 1, networks], loss[after, networks]
    weight = np.clip((high - level) / np.where(high > low, high - low, 1), 0, 1)
    reached = values[after - 1, networks] * (1 - weight) + values[after, networks] * weight
    return np.where(below.any(axis=0), reached, np.nan)


def _train(config: Config, depth: int, parts: Parts) -> History:
    """The history of one network per seed; its layers are those of both monitors."""
    architecture = mlp("ReLU MLP", jax.nn.relu, (config.width,) * depth)
    networks = initial(architecture, parts.trained_on, range(config.seeds))
    tap = architecture.tap(networks[0])
    measures = {"share": share}
    training_loss = of_outputs(_loss, targets=True)
    _, history = fit(
        networks,
        optax.adam(config.step_size),
        parts.trained_on.inputs,
        parts.trained_on.labels,
        steps=config.steps,
        every=config.every,
        batch_size=config.batch_size,
        seed=range(config.seeds),
        monitor={
            TRAINED_ON: monitor_of(
                tap, parts.trained_on, measures | {"training_loss": training_loss}
            ),
            HELD_OUT: monitor_of(tap, parts.held_out, measures),
        },
        objective=parts.trained_on.objective,
    )
    return history


def _loss(outputs: Array, targets: Array) -> Array:
    """() the mean logistic loss; targets are ±1."""
    return jnp.mean(jax.nn.softplus(-targets * outputs))
