"""What a label spectrum predicts about learning from a representation."""

from jaxalign.learning._gradient_descent import predicted_convergence

__all__ = ["predicted_convergence"]
