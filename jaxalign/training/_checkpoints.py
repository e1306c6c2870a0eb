"""States from which a later process can resume, by orbax: each is whole on disk, or not there."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxalign._core.kinds import as_count
from jaxalign.runs._folder import write_json
from jaxalign.runs._place import local_folder
from jaxalign.training._fingerprint import COMPUTED, Fingerprint
from jaxalign.training._named_arrays import as_state, saved_arrays
from jaxalign.training._reader import Position

logger = logging.getLogger(__name__)

FORMAT = "named arrays in parts with a fingerprint"
"""What checkpoints hold; one that says otherwise is of an older layout."""
FILES = "files.json"
"""The digests of the other files of a checkpoint."""


class DamagedCheckpointError(Exception):
    """A checkpoint that cannot be read as it was saved."""


class Checkpoints:
    """Where ``fit(..., checkpoints=...)`` keeps its state, and begins again when it is called a
    second time.

    A run that was killed goes on from the newest checkpoint as if it had never stopped: on the same
    device its rows are, bit for bit, those of an unbroken run. Where the folder holds none, it
    begins at step 0. If the newest checkpoint is damaged, it logs a warning and goes on from the
    one before.

    Each device writes and reads its own part of a state that is split over a mesh. On another mesh,
    or another number of devices, a run goes on too; its rows then agree to rounding. Over several
    processes the folder is one that all of them share.

    A checkpoint knows its run: ``fit`` refuses one of other data (of a stream, of another first
    batch), initial weights, optimizer, objective or settings. Only ``steps`` may grow: a finished
    run of N steps, called with M, goes on to M, bit for bit as an unbroken run of M. It does so
    from the last beginning of a chunk up to N, so the rows after that come a second time. A
    schedule that was made for N steps stays one for N, and one that is made for M is another
    optimizer. A stream goes on where its iterator stood after the rows that were delivered.

    Args:
      folder: made when needed; with ``RunWriter`` a folder inside the run's. On a file system of
        this machine: a bucket has to be mounted.
      every: save after so many steps, at the ends of chunks.

    Raises:
      ValueError: every under 1; a folder that is an address, as "gs://bucket/run".

    Example:
      >>> import tempfile
      >>> import numpy as np
      >>> import optax
      >>> from flax import nnx
      >>> import jaxalign as ja
      >>> from jaxalign.models import MLP
      >>> x = np.random.default_rng(0).standard_normal((80, 6)).astype(np.float32)
      >>> labels = (x[:, 0] > 0).astype(int)
      >>> checkpoints = ja.Checkpoints(tempfile.mkdtemp(), every=10)
      >>> settings = {"chunk": 10, "checkpoints": checkpoints}
      >>> model = MLP(6, (8,), 1, rngs=nnx.Rngs(0))
      >>> _ = ja.fit(model, optax.sgd(0.1), x, labels, steps=35, **settings)
      >>> checkpoints.steps()
      [30, 35]
      >>> state, history = ja.fit(model, optax.sgd(0.1), x, labels, steps=45, **settings)
      >>> history.step[0].item(), state.step.item()
      (30, 45)

    Source: ours, on orbax.
    """

    def __init__(self, folder: str | Path, *, every: int = 1000):
        self.folder = local_folder(folder).absolute()
        self.every = as_count(every, "every")
        self._damaged: list[int] = []

    def save(
        self, step: int, state: Any, known: Fingerprint, position: Position | None = None
    ) -> None:
        """Save a checkpoint with what its run is known by, and where its stream stands; keep the
        last two.

        Raises:
          OSError: it cannot be written, as on a full disk.
        """
        try:
            with _unlogged():
                self._save(step, state, known, position)
        # As in ``_restored``: a dozen kinds.
        except Exception as error:
            before = [f"checkpoint {saved}" for saved in self.steps() if saved < step]
            reason = next(iter(str(error).splitlines()), "")
            raise OSError(
                f"checkpoint {step} cannot be saved in {self.folder} ({reason:.300}); fix that, "
                f"as by making room, and call again: the run goes on from "
                f"{(before or ['step 0'])[-1]}"
            ) from error

    def _save(
        self, step: int, state: Any, known: Fingerprint, position: Position | None = None
    ) -> None:
        import orbax.checkpoint as ocp  # takes seconds to import

        with self._manager() as manager:
            while self._damaged:
                manager.delete(self._damaged.pop())
            if step in self.steps():
                return
            content = {
                "state": ocp.args.StandardSave(dict(saved_arrays(state))),
                "settings": ocp.args.JsonSave(
                    {**known._asdict(), "format": FORMAT, "position": position}
                ),
            }
            manager.save(step, args=ocp.args.Composite(**content), force=True)
        if jax.process_index() == 0:
            folder = self.folder / str(step)
            write_json(folder / FILES, _files(folder))

    def steps(self) -> list[int]:
        """The steps of the states that are kept, ascending."""
        return sorted(
            int(file.name)
            for file in self.folder.glob("*")
            if file.is_dir() and file.name.isdecimal()
        )

    def newest(self, like: Any, known: Fingerprint, usable: Callable[[int], bool]) -> Any:
        """The newest usable state that can be read, in the structure of ``like``, or None if there
        is none.

        Raises:
          ValueError: it is of another run or an older layout; none can be read.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                self.require_whole(step)
                self._require_same(step, self._settings(step), known)
                if not usable(step):
                    continue
                state = self._state(step, like)
            except DamagedCheckpointError as error:
                damaged[step] = str(error)
                continue
            if damaged:
                logger.warning("%s; going on from checkpoint %d", self._listed(damaged), step)
            # Replaced when the run comes by again.
            self._damaged = list(damaged)
            return state
        if damaged:
            raise ValueError(
                f"{self._listed(damaged)}, and there is none before; delete {self.folder} to "
                "begin again at step 0"
            )
        return None

    def position(self, step: int) -> Position | None:
        """Where the stream of a run stood when a state was saved."""
        return self._settings(step).get("position")

    def _listed(self, damaged: Mapping[int, str]) -> str:
        names = ", ".join(f"{step} ({reason})" for step, reason in damaged.items())
        return f"checkpoint {names} in {self.folder} cannot be read"

    def require_whole(self, step: int) -> None:
        """Raise if a file is missing or changed. Orbax would read some of them as zeros."""
        folder = self.folder / str(step)
        if not (folder / FILES).exists():  # killed before it was written, after the others
            return
        try:
            saved = json.loads((folder / FILES).read_bytes())
        except ValueError:
            raise DamagedCheckpointError(f"{FILES} is damaged") from None
        found = _files(folder)
        changed = sorted(name for name in {*saved, *found} if saved.get(name) != found.get(name))
        if changed:
            raise DamagedCheckpointError(f"{changed[0]} is not as it was saved")

    def _settings(self, step: int) -> Mapping[str, Any]:
        import orbax.checkpoint as ocp

        args = ocp.args.Composite(settings=ocp.args.JsonRestore())
        settings = self._restored(step, args).settings
        if not isinstance(settings, Mapping):
            raise DamagedCheckpointError("its settings are missing")
        if settings.get("format") == FORMAT and not {*Fingerprint._fields} <= {*settings}:
            raise DamagedCheckpointError("its settings are damaged")
        return settings

    def _state(self, step: int, like: Any) -> Any:
        import orbax.checkpoint as ocp

        # Each device reads its own part, also of what was saved on other devices.
        shapes = {
            name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
            for name, x in saved_arrays(like)
        }
        args = ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
        return as_state(self._restored(step, args).state, like)

    def _restored(self, step: int, args: Any) -> Any:
        try:
            with self._manager() as manager:
                return manager.restore(step, args=args)
        # Orbax and its storage raise a dozen kinds for files that are cut, missing or of others.
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            raise DamagedCheckpointError(f"{type(error).__name__}: {reason:.100}") from error

    def _require_same(self, step: int, saved: Mapping[str, Any], known: Fingerprint) -> None:
        checkpoint = f"checkpoint {step} in {self.folder}"
        if saved.get("format") != FORMAT:
            raise ValueError(
                f"{checkpoint} is of an older layout, which does not know its run; begin the run "
                "again in another folder, or go on with the version that wrote it"
            )
        now = known.settings
        differing = [
            f"{name} {saved['settings'].get(name)!r}, now {now[name]!r}"
            for name in now
            if saved["settings"].get(name) != now[name]
        ]
        digests = dict(known.digests)
        if saved["environment"] != known.environment:
            logger.warning(
                "%s was saved on %s, now %s: whether %s are the same cannot be told, and the rows "
                "to come are not bit for bit those of an unbroken run",
                checkpoint,
                saved["environment"],
                known.environment,
                ", ".join(COMPUTED),
            )
            for name in COMPUTED:
                del digests[name]
        before = saved["digests"]
        differing += [f"other {name}" for name in digests if before.get(name) != digests[name]]
        if differing:
            raise ValueError(
                f"{checkpoint} is of another run: it was saved with {', '.join(differing)}; "
                "pass what it was saved with, or another folder"
            )

    def _manager(self):
        import orbax.checkpoint as ocp

        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Orbax logs the traceback of an error that it raises as well."""
    log = logging.getLogger("absl")
    log.addFilter(_is_no_error)
    try:
        yield
    finally:
        log.removeFilter(_is_no_error)


def _is_no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR


def _files(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of the files of a checkpoint."""
    names = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != FILES)
    return {str(file.relative_to(folder)): _digest(file) for file in names}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
