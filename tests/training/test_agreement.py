import numpy as np
import pytest

from jaxalign.training._agreement import require_alike, require_one_run

NAMES = ["seeds", "data", "models"]


def test_processes_alike_are_one_run():
    require_one_run({"seeds": (1, 2), "data": (np.ones(3), None)})
    require_alike(NAMES, np.zeros((4, 3, 32), np.uint8))


def test_what_differs_and_where_is_told():
    everywhere = np.zeros((4, 3, 32), np.uint8)
    everywhere[2, 0, 31] = everywhere[3, 2, 0] = 1
    with pytest.raises(ValueError, match="found other seeds, models in process 2, 3 than in"):
        require_alike(NAMES, everywhere)
