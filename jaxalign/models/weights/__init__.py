"""Published weights: read without the framework that wrote them, put into a model, or found in a
package with their model.
"""

from jaxalign.models.weights._assign import assign
from jaxalign.models.weights._pretrained import Pretrained, pretrained
from jaxalign.models.weights._read import read

__all__ = ["Pretrained", "assign", "pretrained", "read"]
