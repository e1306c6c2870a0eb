"""What a label spectrum predicts about learning from a representation."""

from jaxalign.learning._gradient_descent import predicted_convergence
from jaxalign.learning._learning_curve import (
    LearningWarning,
    gcv,
    learning_curve,
    sample_complexity,
)

__all__ = ["LearningWarning", "gcv", "learning_curve", "predicted_convergence", "sample_complexity"]
