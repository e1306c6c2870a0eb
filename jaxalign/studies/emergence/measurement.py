"""Networks of one architecture on one data set, trained by every optimizer."""

import numpy as np

from jaxalign.studies.emergence.design import FOR_REGRESSION, OPTIMIZERS, Config
from jaxalign.studies.framework.study import Cell, Row
from jaxalign.studies.shared.held_out import ROWS
from jaxalign.studies.shared.networks import ARCHITECTURES, architecture_named
from jaxalign.studies.shared.problems import REGRESSIONS, parts_named
from jaxalign.studies.shared.seeds import in_span, share, train_seeds
from jaxalign.training import one_of


def measure(config: Config, cell: Cell) -> list[Row]:
    """One row per optimizer, seed and layer, on the samples trained on and on those held out."""
    parts = parts_named(cell["problem"], config.num_samples, config.side)
    is_regression = cell["problem"] in REGRESSIONS
    optimizers = FOR_REGRESSION if is_regression else OPTIMIZERS
    count = len(config.optimizers)
    trained = train_seeds(
        architecture_named(cell["architecture"], ARCHITECTURES),
        parts.trained_on,
        one_of([optimizers[name] for name in config.optimizers]),
        hyperparameters=np.repeat(np.arange(count), config.seeds),
        seeds=[*range(config.seeds)] * count,
        steps=config.regression_steps if is_regression else config.steps,
        batch_size=config.batch_size,
        measures={"share": share, "in_span": in_span},
        held_out=parts.held_out,
    )
    # All networks are one axis of the program, the optimizers' seeds one after another.
    networks = [(name, seed) for name in config.optimizers for seed in range(config.seeds)]
    return [
        {
            **cell,
            "optimizer": optimizer,
            "seed": seed,
            ROWS: rows,
            "layer": layer,
            "last": layer == next(reversed(layers)),
            "untrained": float(values["share"][0, i]),
            "trained": float(values["share"][1, i]),
            "in_span_untrained": float(values["in_span"][0, i]),
            "in_span_trained": float(values["in_span"][1, i]),
            "loss_end": float(trained.last_loss[i]),
            "loss_constant": parts.trained_on.constant_loss,
        }
        for rows, layers in trained.by_rows.items()
        for layer, values in layers.items()
        for i, (optimizer, seed) in enumerate(networks)
    ]
