"""What A and B are: models on a data set, runs, or files of activations."""

from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from jaxalign.cli.checks import require_defaults
from jaxalign.cli.compare.options import Compare, SideOptions
from jaxalign.cli.compare.runs import Run, is_run, read_run, trained
from jaxalign.cli.subject.architectures import SHIPPED
from jaxalign.cli.subject.data import examples_of, load_examples
from jaxalign.cli.subject.examples import Batches, Examples
from jaxalign.cli.subject.factory import is_factory
from jaxalign.cli.subject.options import DataOptions, ModelOptions, SubjectOptions
from jaxalign.cli.subject.subject import Subject, load_subject
from jaxalign.comparison import ModelLayers, read_activations, require_same_rows
from jaxalign.comparison._activations import ROWS, Activations, is_activations
from jaxalign.comparison._layers import LayerSource
from jaxalign.data._labelled import labelled
from jaxalign.data._limit import MAX_BYTES


@dataclass(frozen=True)
class Sides:
    """Both sides of a comparison.

    Attributes:
      first: the layers of A.
      second: of B; ``first`` itself where both are the same.
      names: of both, for people.
      weights: where those of models come from; empty for files.
      examples: the rows with their labels; None of files without.
      data: the rows, for people.
      notes: what to bear in mind about the rows and the models.
    """

    first: LayerSource
    second: LayerSource
    names: tuple[str, str]
    weights: tuple[str, ...]
    examples: Examples | None
    data: str
    notes: tuple[str, ...] = ()

    @property
    def targets(self) -> np.ndarray | None:
        """(n, k) of the rows."""
        return None if self.examples is None else self.examples.targets


def load_sides(options: Compare) -> Sides:
    """Read files, or load models and data.

    Raises:
      FileNotFoundError: something that is not there.
      ValueError: a file beside a model; sides of other rows; options that change nothing; as
        ``load_subject`` and ``read_activations``.
    """
    for side in options.sides:
        _require_there(side.model)
    are_files = [_is_file(side.model) for side in options.sides]
    if any(are_files) and not all(are_files):
        file, other = options.sides if are_files[0] else options.sides[::-1]
        raise ValueError(
            f"{file.model} is a file, and {other.model} none: whether its rows are those of the "
            "data cannot be told; save the activations of the other one too, by "
            "numpy.savez(file, **activations)"
        )
    return _files(options) if all(are_files) else _models(options)


def _require_there(text: str) -> None:
    is_path = "/" in text and not is_factory(text)
    if (is_path or is_activations(text)) and not (Path(text).exists() or is_run(text)):
        raise FileNotFoundError(f"there is no run and no file of activations at {text}")


def _is_file(text: str) -> bool:
    return is_activations(text) or (Path(text).is_file() and not is_factory(text))


def _files(options: Compare) -> Sides:
    chosen = [name for name in options.chosen_data if name not in ("label", "task", "max_bytes")]
    require_defaults(options, [*chosen, "part", "batch_size"], "would change nothing of files")
    first = _read(options, options.a)
    second = first if vars(options.a) == vars(options.b) else _read(options, options.b)
    notes: tuple[str, ...] = ()
    if not require_same_rows(first, second) and second is not first:
        notes = (
            "The files hold no row ids, so that row i of both is the same sample is taken on trust "
            f"(an array of such a name tells: {', '.join(ROWS[:3])}, …).",
        )
    labels = first.labels if first.labels is not None else second.labels
    names = (Path(options.a.model).name, Path(options.b.model).name)
    rows = first.layers.num_samples
    examples = None
    data = f"{rows:,} rows without labels"
    if labels is None:
        unused = ["task", "centered", "intervals"]
        require_defaults(options, unused, "would change nothing: the files hold no labels")
    if labels is not None:
        examples = _labelled(labels, rows, options, names[0])
        data = f"{rows:,} rows, {examples.task}"
    return Sides(first.layers, second.layers, names, (), examples, data, notes)


def _read(options: Compare, side: SideOptions) -> Activations:
    settled = [
        field.name for field in fields(ModelOptions) if field.name not in ("model", "layers")
    ]
    require_defaults(side, settled, f"would change nothing of the file {side.model}")
    return read_activations(
        side.model,
        reduce=options.reduce,
        channels=options.channels,
        choose=partial(_fitting, side.layers),
        label=options.label,
        max_bytes=options.max_bytes or MAX_BYTES,
    )


def _fitting(patterns: tuple[str, ...], names: list[str]) -> list[str]:
    if not patterns:
        return names
    missing = [each for each in patterns if not any(fnmatchcase(name, each) for name in names)]
    if missing:
        raise ValueError(
            f"layers {', '.join(missing)} fit none of {', '.join(names) or 'its arrays'}"
        )
    return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


def _labelled(labels: np.ndarray, rows: int, options: Compare, name: str) -> Examples:
    if labels.ndim == 0 or len(labels) != rows:
        raise ValueError(
            f"labels must be one for each of {rows} rows, found shape {labels.shape}; "
            "name another array by --label"
        )
    # Of the embedded images the classes would have names.
    data = replace(_data(options), data=name)
    return examples_of(labelled(np.zeros((rows, 1), np.float32), labels, name), data)


def _models(options: Compare) -> Sides:
    require_defaults(options, ["channels"], "is for files; models have their channels last")
    runs = [read_run(side) if is_run(side.model) else None for side in options.sides]
    data = _data_of(options, runs)
    examples = load_examples(data, options.part)
    subjects = [
        _subject(options, side, run, data, examples)
        for side, run in zip(options.sides, runs, strict=True)
    ]
    first = _layers(options, subjects[0])
    second = first if vars(options.a) == vars(options.b) else _layers(options, subjects[1])
    names = tuple(
        subject.loaded.name.rpartition("/")[2] if run is None else run.name
        for subject, run in zip(subjects, runs, strict=True)
    )
    weights = tuple(subject.loaded.weights.partition(", sha256")[0] for subject in subjects)
    about = f"{examples.source}, {len(examples):,} samples, {examples.task}"
    notes = dict.fromkeys(note for subject in subjects for note in subject.loaded.notes)
    return Sides(first, second, (names[0], names[1]), weights, examples, about, tuple(notes))


def _data_of(options: Compare, runs: list[Run | None]) -> DataOptions:
    """The data that --data names, else those of the runs, with what else was chosen."""
    of_runs = [_data(run.config) for run in runs if run is not None]
    if "data" in options.chosen_data or not of_runs:
        return options
    if of_runs[0] != of_runs[-1]:
        raise ValueError(
            "the runs were trained on different data; say on which to compare them, by --data and "
            "its options"
        )
    return replace(of_runs[0], **{name: getattr(options, name) for name in options.chosen_data})


def _data(options: DataOptions) -> DataOptions:
    """The options of the data alone."""
    return DataOptions(
        **{field.name: getattr(options, field.name) for field in fields(DataOptions)}
    )


def _subject(
    options: Compare, side: SideOptions, run: Run | None, data: DataOptions, examples: Examples
) -> Subject:
    model: ModelOptions = side
    if run is not None:
        model = run.start if _data(data) == _data(run.config) else _with_outputs(run)
    names = [field.name for field in fields(ModelOptions)]
    settings = SubjectOptions(**vars(_data(data)), **{name: getattr(model, name) for name in names})
    subject = load_subject(settings, options.part, examples=examples)
    if run is not None:
        return trained(subject, run)
    if not subject.loaded.is_initial:
        require_defaults(side, ["seed"], f"would change nothing of {side.model}: it has weights")
    return subject


def _with_outputs(run: Run) -> ModelOptions:
    """A shipped architecture has an output for each target of the data it was trained on."""
    start = run.start
    if start.outputs is not None or start.model not in SHIPPED:
        return start
    return replace(start, outputs=load_examples(_data(start)).targets.shape[1])


def _layers(options: Compare, subject: Subject) -> ModelLayers:
    batches = Batches(subject.examples, subject.convert, options.batch_size)
    return ModelLayers(
        subject.tap,
        subject.loaded.state,
        batches,
        len(subject.examples),
        reduce=options.reduce,
        mask=subject.loaded.mask,
    )
