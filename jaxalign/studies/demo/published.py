"""The values read off the figure of the authors' demo notebook: the trained curves on CIFAR-10."""

import numpy as np

CIFAR = "CIFAR-10"
"""The data set of the figure."""

TAU = (0.5, 1.0, 3.0, 5.0, 7.0, 10.0, 13.0)
"""The thresholds at which the figure was read."""

READ = {
    "input": (0.579, 0.498, 0.392, 0.296, 0.230, 0.139, 0.129),
    "hidden_1": (0.852, 0.832, 0.784, 0.710, 0.475, 0.351, 0.0),
    "hidden_2": (0.963, 0.958, 0.923, 0.913, 0.898, 0.872, 0.872),
    "hidden_3": (0.995, 0.995, 0.995, 0.995, 0.995, 0.995, 0.995),
}
"""A(τ)/‖y‖² by layer."""

FALLS = {"input": 16.0, "hidden_1": 12.5, "hidden_2": 14.0, "hidden_3": 21.0}
"""About where the curves fall to 0."""

LAYERS = tuple(READ)
HIDDEN = LAYERS[1:]
LAST = LAYERS[-1]
THRESHOLDS = np.linspace(0, 30, 62)
"""Those of the notebook, whose figure joins the values there by straight lines."""
READING_ERROR = 0.010
"""The figure was read to ±10 of 1000."""
