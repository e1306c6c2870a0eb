"""The neural tangent kernel Θ = JJᵀ of a model, as an operator: J is never stored."""

from jaxalign.tangent._norm import TangentNorm, tangent_alignment, tangent_norm
from jaxalign.tangent._products import tangent_products
from jaxalign.tangent._spectrum import tangent_spectrum

__all__ = [
    "TangentNorm",
    "tangent_alignment",
    "tangent_norm",
    "tangent_products",
    "tangent_spectrum",
]
