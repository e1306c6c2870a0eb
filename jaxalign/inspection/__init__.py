"""The measure of a model somebody already has: every layer's label spectrum over a data set, in constant memory."""

from jaxalign.inspection.inspect import Inspection, inspect
from jaxalign.inspection.plan import LayerPlan, Plan, plan

__all__ = ["Inspection", "LayerPlan", "Plan", "inspect", "plan"]
