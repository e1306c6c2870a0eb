"""The choices of the options are those of the library, which they do not import."""

from typing import get_args

import pytest

from jaxalign import _features
from jaxalign.cli import choices
from jaxalign.cli.subject.architectures import ACTIVATIONS
from jaxalign.cli.subject.images import SCALINGS
from jaxalign.cli.train.recipe import OPTIMIZERS
from jaxalign.comparison import _activations, _compare
from jaxalign.data import _csv, _csv_columns, _idx_folder, _labelled
from jaxalign.inspection import _inspect
from jaxalign.monitoring import _settings
from jaxalign.runs import _storage
from jaxalign.similarity import _estimators, _rsa
from jaxalign.studies.framework import study


@pytest.mark.parametrize(
    ("choice", "library"),
    [
        (choices.ArrayDtype, _storage.DTYPES),
        (choices.Activation, tuple(ACTIVATIONS)),
        (choices.Optimizer, tuple(OPTIMIZERS)),
        (choices.Scaling, (*SCALINGS, "none")),
        (choices.Method, get_args(_settings.Method)),
        (choices.Pooling, get_args(_settings.Pooling)),
        (choices.Reduce, get_args(_features.Reduce)),
        (choices.StreamMethod, get_args(_inspect.Method)),
        (choices.Part, get_args(_idx_folder.Part)),
        (choices.Task, get_args(_labelled.Task)),
        (choices.Missing, get_args(_csv.Missing)),
        (choices.Categories, get_args(_csv.Categories)),
        (choices.Decimal, ("auto", *get_args(_csv_columns.Decimal))),
        (choices.Size, get_args(study.Size)),
        (choices.Channels, get_args(_activations.Channels)),
        (choices.Intervals, get_args(_compare.Intervals)),
        (choices.Estimator, get_args(_estimators.Estimator)),
        (choices.DistanceMetric, get_args(_rsa.Metric)),
        (choices.RankCompare, get_args(_rsa.Compare)),
    ],
)
def test_choices_are_those_of_the_library(choice, library):
    assert set(get_args(choice)) == set(library)
