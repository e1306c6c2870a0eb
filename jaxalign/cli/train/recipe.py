"""What is trained, on what, and what is measured, from the options of `jaxalign train`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax import Array

from jaxalign.cli.choices import CENTERED, Optimizer
from jaxalign.cli.subject.data import load_examples
from jaxalign.cli.subject.examples import Examples
from jaxalign.cli.subject.model import load_model
from jaxalign.cli.subject.sources import EMBEDDED, has_test_part
from jaxalign.cli.subject.subject import Subject, load_subject
from jaxalign.cli.train.options import Train
from jaxalign.data import Dataset
from jaxalign.monitoring import Monitor, alignment_measures, monitor
from jaxalign.training import classification, one_of, squared_error

OPTIMIZERS: dict[Optimizer, Callable[[Any], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "rmsprop": optax.rmsprop,
    "lion": optax.lion,
}
PAPER = ("2", "4")
"""The two classes of Fashion-MNIST that stand for those of the paper's demo."""

Objective = Callable[[Array, Array], tuple[Array, dict[str, Array]]]


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and what is measured.

    Attributes:
      train: the rows to train on, as the model takes them.
      test: the rows to test on, where the data have such a part.
      monitored: the rows to measure on, a part of ``train``.
      models: the networks in training mode, all seeds of one variant after those of another.
      evaluated: the structure of all of them in evaluation mode.
      monitor: what is measured.
      weights: where the weights come from, for people.
      same_weights: whether all networks begin with the same weights.
      objective: what is minimized.
      centered: whether features and targets are taken about their means.
    """

    train: Dataset
    test: Dataset | None
    monitored: Dataset
    models: list[nnx.Module]
    evaluated: nnx.GraphDef
    monitor: Monitor
    weights: str
    same_weights: bool
    objective: Objective
    centered: bool

    @property
    def has_maps(self) -> bool:
        """Whether a measured layer has positions that have to be reduced."""
        state = nnx.state(self.models[0])
        _, activations = jax.eval_shape(self.monitor.tap, state, self.monitor.inputs)
        return any(len(activation.shape) > 2 for activation in activations.values())


def load_task(config: Train) -> Task:
    """Read the data, build the networks and the monitor.

    Raises:
      FileNotFoundError, ValueError: as ``load_subject``; a model that cannot be trained; data that
        lack a class.
    """
    if config.data == EMBEDDED and not config.classes:
        config = replace(config, classes=PAPER)
    subject = load_subject(config)
    examples = subject.examples
    _require_trainable(config, subject)
    _require_all_classes(examples, "num-samples")
    monitored = examples.first(min(config.monitor_size, len(examples)))
    _require_all_classes(monitored, "monitor-size")
    test = _test_examples(config, examples)
    monitored_rows = as_dataset(subject, monitored)
    # ‖y‖² of numbers is mostly their mean, which every layer with a bias has; ±1 codes of classes
    # are measured as in the paper.
    centered = CENTERED[config.centered]
    if centered is None:
        centered = not examples.class_names
    return Task(
        train=as_dataset(subject, examples),
        test=None if test is None else as_dataset(subject, test),
        monitored=monitored_rows,
        models=_networks(config, subject),
        evaluated=nnx.graphdef(subject.loaded.model),
        monitor=_monitor(config, subject, monitored_rows, monitored.targets, centered),
        weights=subject.loaded.weights,
        same_weights=not subject.loaded.is_initial,
        objective=classification if examples.class_names else squared_error,
        centered=centered,
    )


def as_dataset(subject: Subject, examples: Examples) -> Dataset:
    """Rows as the model takes them, in memory."""
    inputs = subject.convert(examples.rows(0, len(examples)))
    return Dataset(inputs, examples.labels, examples.class_names, examples.source)


def seeds_of(config: Train) -> list[int]:
    """The seed of each network."""
    return list(range(config.seed, config.seed + config.seeds)) * len(config.variants)


def optimizer_of(config: Train) -> tuple[Any, Any]:
    """Optimizer and hyperparameters of ``fit``; of several networks the optimizer is a function of
    the hyperparameters of each.
    """
    optimizers = [OPTIMIZERS[name] for name in config.optimizer]
    if config.models == 1:
        return optimizers[0](config.learning_rate[0]), None
    variants = [variant for variant in config.variants for _ in range(config.seeds)]
    rates = np.array([variant.rate for variant in variants], np.float32)
    if len(optimizers) == 1:
        return optimizers[0], rates
    # The optimizer is selected by a traced number, so that all models stay one program.
    numbers = np.array([config.optimizer.index(variant.optimizer) for variant in variants])

    def chosen(own: dict[str, Any]) -> optax.GradientTransformation:
        return one_of([optimizer(own["rate"]) for optimizer in optimizers])(own["number"])

    return chosen, {"number": numbers, "rate": rates}


def accuracies(config: Train, task: Task, state: Any, sharding: Any) -> dict[str, np.ndarray]:
    """Of every network, in evaluation mode: "train_accuracy" and "test_accuracy", (models,).

    Empty for regression, and without "test_accuracy" where there is nothing to test on.
    """
    if not task.train.class_names:
        return {}

    def of_one(variables: nnx.State, inputs: Array, labels: Array) -> Array:
        outputs = nnx.merge(task.evaluated, variables)(inputs)
        return classification(outputs, labels)[1]["accuracy"]

    of_each = of_one if len(task.models) == 1 else jax.vmap(of_one, in_axes=(0, None, None))
    compute = jax.jit(of_each, out_shardings=sharding)
    # Memory held activations of so many rows while the networks were trained.
    at_once = max(config.batch_size, len(task.monitored))

    def of_all_rows(part: Dataset) -> np.ndarray:
        hits = np.zeros(len(task.models))
        for start in range(0, len(part), at_once):
            rows = slice(start, start + at_once)
            labels = part.labels[rows]
            shares = compute(state.model, part.inputs[rows], labels)
            hits += np.rint(np.asarray(shares) * len(labels))
        return hits / len(part)

    parts = {"train_accuracy": task.train, "test_accuracy": task.test}
    return {name: of_all_rows(part) for name, part in parts.items() if part is not None}


def _test_examples(config: Train, examples: Examples) -> Examples | None:
    if not has_test_part(config):
        return None
    test = load_examples(replace(config, num_samples=None), "test")
    # Labels are positions among the classes that were found, so these have to be the same.
    if test.class_names != examples.class_names:
        raise ValueError(
            f"{test.source} has classes {', '.join(test.class_names)}, "
            f"{examples.source} has {', '.join(examples.class_names)}; choose some by --classes"
        )
    return test


def _networks(config: Train, subject: Subject) -> list[nnx.Module]:
    """All of them in training mode; those with weights of their own differ in nothing."""
    networks = []
    for seed in seeds_of(config):
        if subject.loaded.is_initial:
            outputs = subject.examples.targets.shape[1]
            model = load_model(replace(config, seed=seed), subject.shape, outputs).model
        else:
            model = nnx.clone(subject.loaded.model)
        model.train()
        networks.append(model)
    return networks


def _monitor(
    config: Train, subject: Subject, rows: Dataset, targets: np.ndarray, centered: bool
) -> Monitor:
    measures = alignment_measures(
        len(rows),
        thresholds=config.thresholds or None,
        # A quadrature has no null: see ``jaxalign.monitoring``.
        null=config.method != "quadrature",
    )
    # The tap took the network's structure in evaluation mode, which is how it is measured.
    return monitor(
        subject.tap,
        rows.inputs,
        targets,
        measures=measures,
        method=config.method,
        defer=config.defer,
        centered=centered,
        reduce=config.reduce,
    )


def _require_trainable(config: Train, subject: Subject) -> None:
    if not isinstance(subject.loaded.model, nnx.Module):
        raise ValueError(
            f"train takes flax.nnx models; {config.model} makes a "
            f"{type(subject.loaded.model).__name__}"
        )
    classes = len(subject.examples.class_names)
    if config.outputs is not None and classes > 2 and config.outputs < classes:
        raise ValueError(
            f"--outputs must be at least {classes}, one for each class, found {config.outputs}"
        )


def _require_all_classes(examples: Examples, option: str) -> None:
    classes = len(examples.class_names)
    if classes and len(np.unique(examples.labels)) < classes:
        raise ValueError(
            f"--{option}: count must be from {classes} (the classes), found {len(examples)}"
        )
