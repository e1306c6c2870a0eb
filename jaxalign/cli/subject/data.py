"""A data set by name or path, as rows of inputs, labels and a target matrix."""

import numpy as np

from jaxalign._features import encode_targets
from jaxalign.cli.choices import Part
from jaxalign.cli.subject.examples import Examples
from jaxalign.cli.subject.options import DataOptions
from jaxalign.cli.subject.precision import require_float32, require_square_in_float32
from jaxalign.cli.subject.sources import class_name, read_source
from jaxalign.data import Labelled
from jaxalign.data._stored_images import StoredImages


def load_examples(options: DataOptions, part: Part = "train") -> Examples:
    """Read a data set, by name or by what is found at the path.

    Raises:
      FileNotFoundError: nothing is there.
      ValueError: what is there is no data set, or damaged; an option that does not go with it;
        numbers that float32, in which networks compute, does not hold.
    """
    return examples_of(read_source(options, part), options)


def examples_of(source: Labelled, options: DataOptions) -> Examples:
    """The rows of a source that the options choose, with targets.

    Raises:
      ValueError: as ``load_examples``.
    """
    task = options.task
    if task == "auto" and isinstance(source.inputs, StoredImages) and source.inputs.has_classes:
        # Folders are classes however few images they hold.
        task = "classes"
    classes = source.classes(task)
    if classes is None:
        examples = _regression(source, options)
    else:
        examples = _classification(source, classes, options)
    if isinstance(source.inputs, np.ndarray):
        require_float32(source.inputs, f"inputs of {source.source}")
    if not examples.targets.any():
        raise ValueError(
            f"the targets of {source.source} are all 0: there is nothing to be aligned with"
        )
    if options.num_samples is not None:
        try:
            examples = examples.first(options.num_samples)
        except ValueError as error:
            raise ValueError(f"--num-samples: {error}") from None
    if options.unreadable == "skip":
        return examples.readable()
    return examples


def _regression(source: Labelled, options: DataOptions) -> Examples:
    if options.classes:
        raise ValueError(
            f"--classes chooses among classes; labels of {source.source} are numbers to regress on"
        )
    require_float32(source.labels, f"labels of {source.source}")
    require_square_in_float32(source.labels, f"labels of {source.source}")
    targets = np.asarray(encode_targets(source.labels.astype(np.float32)))
    return Examples(source.inputs, np.arange(len(targets)), targets, (), source.source)


def _classification(source: Labelled, classes: tuple, options: DataOptions) -> Examples:
    chosen = _chosen(classes, options.classes)
    # -1 marks rows of the classes that are left out.
    labels = np.full(len(source.labels), -1, np.int32)
    for position, value in enumerate(chosen):
        labels[source.labels == value] = position
    rows = np.flatnonzero(labels >= 0)
    names = tuple(class_name(value, options) for value in chosen)
    return Examples(source.inputs, rows, labels[rows], names, source.source)


def _chosen(classes: tuple, wanted: tuple[str, ...]) -> list:
    """The classes of these names, in their order; all of them for none, and for "all"."""
    by_name = {str(value): value for value in classes}
    if wanted in ((), ("all",)):
        return list(classes)
    if len(wanted) < 2 or len(set(wanted)) < len(wanted) or not set(wanted) <= set(by_name):
        raise ValueError(
            f"--classes must be two or more different ones of {', '.join(by_name)}, "
            f"found {', '.join(wanted)}"
        )
    return [by_name[name] for name in wanted]
