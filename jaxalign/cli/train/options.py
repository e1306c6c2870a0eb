"""The options of `jaxalign train`. Pure Python, see ``cli.choices``."""

from collections.abc import Mapping
from ctypes import c_float
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

import tyro

from jaxalign.cli.checks import flag, require_at_least_one, require_thresholds
from jaxalign.cli.choices import ArrayDtype, Centered, Many, Method, Optimizer, Pooling
from jaxalign.cli.subject.options import ModelArgument, SubjectOptions

WHERE = ("devices", "distributed", "coordinator", "processes", "process")
"""The options that say where to run, and do not change the results."""
_OF_A_CALL = ("out", "overwrite", "resume", *WHERE)


class Variant(NamedTuple):
    """The settings in which the runs of one program differ."""

    optimizer: Optimizer
    rate: float


@dataclass(frozen=True, kw_only=True)
class Train(SubjectOptions):
    """Train a network and log every layer's alignment with the labels at every step.

    The defaults repeat the recipe of the paper's demo (its MLP, Adam, 1000 images of two classes,
    and 100 epochs) on two classes that are hard to tell apart. It leaves a run folder with rows,
    curves, pictures and a page.
    """

    # mlp, cnn, resnet18, resnet34, resnet50, vgg11, vgg11_bn, vgg16, vgg16_bn, squeezenet1_1,
    # efficientnet_lite0 to 4, vit_s_16, vit_b_16; pretrained: efficientnet-lite0 to 2,
    # squeezenet1.1; a folder that Hugging Face's save_pretrained wrote of a BERT, ViT or ResNet; or
    # your own: path/to/module.py:factory, where factory() returns a flax.nnx.Module.
    model: ModelArgument = "mlp"
    # The optax optimizer, or several.
    optimizer: Many[Optimizer] = ("adam",)
    # The step size, or several. Every optimizer is trained with every step size, all in one
    # program, and each leaves a run folder.
    learning_rate: Many[float] = (1e-3,)
    # Rows per step.
    batch_size: int = 64
    # Number of updates; 1563 are 100 epochs of 1000 images.
    steps: int = 1563
    # Train this many networks as one program, with the seed and the ones after it. Pictures then
    # show medians and intervals.
    seeds: int = 1
    # Measure on this many training rows: the first that keep the classes balanced.
    monitor_size: int = 1000
    # What becomes of the positions of maps and tokens: mean over them, flatten into features, or
    # cls, the first one alone. Inputs are flattened.
    reduce: Pooling = "mean"
    # How a layer's spectrum is computed; quadrature is a few times cheaper, and approximate.
    method: Method = "auto"
    # Solve the spectra of a chunk of steps as one batch, which is faster on accelerators.
    defer: bool = False
    # Subtract the means of features and targets. With auto, this is done for numbers to regress on,
    # not for classes.
    centered: Centered = "auto"
    # Measure at every k-th step.
    every: int = 1
    # Keep the curves of every k-th measured step. Areas are kept of all.
    array_every: int = 1
    # The dtype that curves are kept in. In bfloat16 a long run of many layers takes half the disk.
    array_dtype: ArrayDtype = "float32"
    # Thresholds τ to log A(τ) at; the middle one is the headline. By default 5, 15 and 30 % of √n,
    # to one digit. The whole curve is logged in any case.
    thresholds: Many[float] = ()
    # Run folder to make; by default the next free runs/train-N.
    out: Path | None = None
    # Replace the run that is in the out folder.
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    # Save a checkpoint after every k steps, for --resume.
    checkpoint_every: int = 1000
    # Go on with the run in this folder, from its newest checkpoint, with its own settings. Only
    # options that say where to run may be given with it.
    resume: Path | None = None
    # Number of devices to split over: the networks, if there are several, else batches and
    # monitored rows. By default as many as divide the networks evenly; one for one network; all of
    # them with --distributed.
    devices: int | None = None
    # Be one of several processes, each started with the same command. SLURM, MPI, Kubernetes and
    # TPU pods are recognized; elsewhere pass --coordinator, --processes and --process.
    distributed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    # The address of process 0, as HOST:PORT.
    coordinator: str | None = None
    # The number of processes.
    processes: int | None = None
    # The number of this process, from 0.
    process: int | None = None

    def __post_init__(self) -> None:
        # First: with --resume no other option counts, so a wrong one is not its value's fault.
        self._check_resume()
        super().__post_init__()
        counts = ("batch_size", "steps", "monitor_size", "every", "array_every", "seeds")
        require_at_least_one(self, [*counts, "checkpoint_every", "devices"])
        require_thresholds(self.thresholds)
        self._check_variants()
        if self.overwrite and self.out is None:
            raise ValueError("--overwrite needs a folder to replace; pass --out")
        self._check_processes()

    def _check_resume(self) -> None:
        if self.resume is None:
            return
        others = [
            flag(field.name)
            for field in fields(self)
            if field.name not in ("resume", *WHERE) and self._changed(field)
        ]
        if others:
            raise ValueError(
                "--resume takes all settings from the run's folder; leave out " + ", ".join(others)
            )

    def _check_variants(self) -> None:
        known = get_args(Optimizer)
        unknown = sorted(set(self.optimizer) - set(known))
        if unknown or not self.optimizer:
            raise ValueError(
                f"optimizer must be among {', '.join(known)}, found {unknown or 'none'}; "
                "change --optimizer"
            )
        rates = [c_float(rate).value for rate in self.learning_rate]  # as a program has them
        wrong = [
            rate
            for rate, in_program in zip(self.learning_rate, rates, strict=True)
            if not 0 < in_program < float("inf")
        ]
        if wrong or not rates:
            raise ValueError(
                f"learning_rate must be positive and finite in float32, found {wrong or 'none'}; "
                "change --learning-rate"
            )
        for name, different in (("optimizer", {*self.optimizer}), ("learning_rate", {*rates})):
            values = getattr(self, name)
            if len(different) < len(values):
                raise ValueError(
                    f"{name} must be different ones, found {values}; change {flag(name)}"
                )

    def _check_processes(self) -> None:
        given = [flag(name) for name in WHERE[2:] if getattr(self, name) is not None]
        if given and not self.distributed:
            raise ValueError(f"{', '.join(given)} belong to --distributed; pass that too")
        if given and len(given) < 3:
            raise ValueError(
                "--coordinator, --processes and --process go together, "
                f"found {', '.join(given)} alone"
            )
        if self.distributed and self.out is None and self.resume is None:
            raise ValueError(
                "--distributed needs a folder that all processes see and name alike; pass --out"
            )

    def _changed(self, field: Field) -> bool:
        return getattr(self, field.name) != field.default

    @property
    def models(self) -> int:
        """The number of networks that are trained at once."""
        return self.seeds * len(self.variants)

    @property
    def variants(self) -> list[Variant]:
        """Every optimizer with every step size."""
        return [
            Variant(optimizer, rate) for optimizer in self.optimizer for rate in self.learning_rate
        ]


def as_settings(config: Train) -> dict[str, Any]:
    """The configuration as config.json has it: everything the results depend on, without the place
    of the run.
    """
    settings = {k: v for k, v in asdict(config).items() if k not in _OF_A_CALL}
    if config.checkpoint is not None:
        settings["checkpoint"] = str(config.checkpoint)
    return settings


def from_settings(settings: Mapping[str, Any], folder: Path) -> Train:
    """The configuration of a run in a folder, from what ``as_settings`` made of it.

    Raises:
      ValueError: settings that this version does not know, or does not find.
    """
    # JSON knows lists only.
    tuples = ("classes", "ignore", "layers", "learning_rate", "optimizer", "thresholds")
    known = {field.name for field in fields(Train)} - set(_OF_A_CALL)
    no_lists = {name for name in tuples if not isinstance(settings.get(name), list)}
    wrong = known ^ set(settings) | no_lists
    if wrong:
        raise ValueError(
            f"{folder} was made by another version of jaxalign, with other settings: "
            f"{', '.join(sorted(wrong))}; train again, into another folder"
        )
    values: dict[str, Any] = {**settings, **{name: tuple(settings[name]) for name in tuples}}
    if values["checkpoint"] is not None:
        values["checkpoint"] = Path(values["checkpoint"])
    return Train(**values, out=folder)
