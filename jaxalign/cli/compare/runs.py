"""A run of `jaxalign train` as a side of a comparison: its model, rebuilt from its settings and a
checkpoint.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from jaxalign.cli.checks import require_defaults
from jaxalign.cli.compare.options import SideOptions
from jaxalign.cli.subject.sources import EMBEDDED
from jaxalign.cli.subject.subject import Subject
from jaxalign.cli.train.options import Train
from jaxalign.cli.train.recipe import PAPER
from jaxalign.cli.train.resume import saved_config
from jaxalign.cli.train.runs import CHECKPOINTS, place_of
from jaxalign.models.weights._hugging_face import is_hugging_face
from jaxalign.training import Checkpoints
from jaxalign.training._saved_model import read_model


class Run(NamedTuple):
    """A network of a run at one step.

    Attributes:
      folder: of the run.
      config: of the run, with this side's choice of layers.
      step: of a checkpoint; 0 for the untrained start.
      position: of the network among those that were trained together.
    """

    folder: Path
    config: Train
    step: int
    position: int

    @property
    def name(self) -> str:
        """For people."""
        seed = f", seed {self.config.seed + self._seed}" if self.config.seeds > 1 else ""
        when = "untrained" if self.step == 0 else f"step {self.step:,}"
        return f"{self.folder}{seed}, {when}"

    @property
    def checkpoints(self) -> Checkpoints:
        """Of the run, which lie beside the folders of its variants."""
        return _checkpoints(self.folder, self.config)

    @property
    def start(self) -> Train:
        """The settings that build the network as it was before the first step."""
        return replace(self.config, seed=self.config.seed + self._seed)

    @property
    def _seed(self) -> int:
        return self.position % self.config.seeds


def folder_and_step(text: str) -> tuple[Path, int | None]:
    """FOLDER@STEP, or FOLDER alone."""
    folder, _, step = text.rpartition("@")
    if folder and step.isdecimal() and not Path(text).exists():
        return Path(folder), int(step)
    return Path(text), None


def is_run(text: str) -> bool:
    """Whether a side is a folder and holds no model of Hugging Face's, so has to be a run."""
    folder = folder_and_step(text)[0]
    return folder.is_dir() and not is_hugging_face(folder)


def read_run(side: SideOptions) -> Run:
    """The run that a side names.

    Raises:
      FileNotFoundError: the folder holds no run.
      ValueError: one that `jaxalign train` did not make; several in it; options that a run has
        settled; no such network or checkpoint.
    """
    folder, step = folder_and_step(side.model)
    settled = ["checkpoint", "width", "depth", "activation", "outputs"]
    require_defaults(side, settled, f"would change nothing of the run {folder}")
    try:
        config, _ = saved_config(folder)
    except ValueError as error:
        raise ValueError(
            f"{error}; compare files of activations, or the model as path/to/module.py:factory"
        ) from None
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds several runs; name the folder of one of them")
    if config.data == EMBEDDED and not config.classes:
        # What such a run was trained on.
        config = replace(config, classes=PAPER)
    config = replace(config, layers=side.layers or config.layers, at=side.at)
    position = _variant(folder, config) * config.seeds + _seed_position(side, folder, config)
    return Run(folder, config, _step(folder, config, step), position)


def trained(subject: Subject, run: Run) -> Subject:
    """The subject of a run's settings with the weights of its checkpoint."""
    if run.step == 0:
        return subject
    several = run.config.models if run.config.models > 1 else None
    state = read_model(
        run.checkpoints, run.step, subject.loaded.state, models=several, model=run.position
    )
    return replace(subject, loaded=replace(subject.loaded, state=state, weights=run.name))


def _variant(folder: Path, config: Train) -> int:
    """Which optimizer and step size are those of the folder."""
    places = [place_of(config, folder.parent, variant).name for variant in config.variants]
    return places.index(folder.name) if len(places) > 1 else 0


def _seed_position(side: SideOptions, folder: Path, config: Train) -> int:
    if config.seeds == 1 and side.seed == 0:
        return 0
    seeds = range(config.seed, config.seed + config.seeds)
    if side.seed not in seeds:
        raise ValueError(
            f"{folder} was trained with seeds {seeds.start} to {seeds.stop - 1}, "
            f"found seed {side.seed}; choose one of them by --a.seed or --b.seed"
        )
    return side.seed - config.seed


def _checkpoints(folder: Path, config: Train) -> Checkpoints:
    return Checkpoints((folder.parent if len(config.variants) > 1 else folder) / CHECKPOINTS)


def _step(folder: Path, config: Train, wanted: int | None) -> int:
    steps = _checkpoints(folder, config).steps()
    if wanted is None and not steps:
        raise ValueError(
            f"{folder} has no checkpoint; train on with --resume, or compare {folder}@0, its "
            "untrained start"
        )
    if wanted is not None and wanted not in (0, *steps):
        kept = ", ".join(map(str, steps)) or "none"
        raise ValueError(
            f"{folder} has no checkpoint of step {wanted}; those kept are {kept}, and 0 is the "
            "untrained start"
        )
    return steps[-1] if wanted is None else wanted
