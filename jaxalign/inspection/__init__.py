"""The measure of a model that you already have: every layer's label spectrum over a data set, in
constant memory.
"""

from jaxalign.inspection._folder import Inspected, read_inspection, save
from jaxalign.inspection._inspect import Inspection, inspect
from jaxalign.inspection._label_curves import label_curves
from jaxalign.inspection._notes import notes
from jaxalign.inspection._numbers import LayerCurves, LayerNumbers, curves, numbers
from jaxalign.inspection._plan import LayerPlan, Plan, plan

__all__ = [
    "Inspected",
    "Inspection",
    "LayerCurves",
    "LayerNumbers",
    "LayerPlan",
    "Plan",
    "curves",
    "inspect",
    "label_curves",
    "notes",
    "numbers",
    "plan",
    "read_inspection",
    "save",
]
