import json

import numpy as np
import pytest

from jaxalign.training._agreement import asked_for, require_one_run
from jaxalign.training._check import Models


def note(seed=0, steps=20, values=0.0):
    models = Models(None, [{"kernel": np.full(3, values)}], False, [seed], None)
    return asked_for(models, {}, {"steps": steps, "chunk": 64})


def test_processes_alike_are_one_run():
    require_one_run([note()] * 3)
    require_one_run([""])  # a process alone says nothing
    assert json.loads(note()).keys() == json.loads(note(1)).keys()


def test_what_differs_and_where_is_told():
    notes = [note(), note(), note(seed=1), note(values=1.0)]
    with pytest.raises(ValueError, match="found other seeds, models in process 2, 3 than in"):
        require_one_run(notes)
    with pytest.raises(ValueError, match="other steps in process 1"):
        require_one_run([note(), note(steps=21)])
