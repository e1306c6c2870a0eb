"""Where a training run takes place: this process or several, one device or a mesh of them."""

import jax
import numpy as np
from jax.sharding import Mesh

from jaxalign.cli.train.options import Train


def join_processes(config: Train) -> None:
    """With --distributed, wait until all processes of the run have found each other.

    Raises:
      ValueError: nothing tells where the others are.
    """
    if not config.distributed or jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(config.coordinator, config.processes, config.process)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the other processes of --distributed could not be found ({reason}); under SLURM, "
            "MPI, Kubernetes and on TPU pods they are, elsewhere pass --coordinator HOST:PORT "
            "--processes N --process I to each"
        ) from None


def first_process() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def mesh_of(config: Train) -> Mesh | None:
    """The devices to split the run over, or None to leave it on one.

    Raises:
      ValueError: --devices are more than there are, or, with --distributed, not all of them.
    """
    available = jax.device_count()
    if config.devices is not None:
        count = config.devices
    elif config.distributed:
        count = available
    else:
        # Networks are not split: as many devices as hold equal numbers of them.
        count = max(c for c in range(1, available + 1) if config.models % c == 0)
    if config.distributed and count != available:
        raise ValueError(f"--devices must be all {available}, found {count}")
    if count > available:
        raise ValueError(f"--devices must be at most the {available} there are, found {count}")
    return None if count == 1 else Mesh(np.array(jax.devices()[:count]), ("data",))
