"""The model in a folder of Hugging Face's, which masks padding."""

from pathlib import Path

from flax import nnx

from jaxalign.cli.subject.loaded import Loaded
from jaxalign.models import BERT, BERTClassifier
from jaxalign.models.weights import hugging_face


def model_in_folder(name: str) -> Loaded:
    """The model of a folder, by the path that was given."""
    network = hugging_face(name)
    notes = []
    if network.left_out:
        notes.append(
            f"{len(network.left_out)} tensors of the file are left out, of a head that there is no "
            f"layer for: {', '.join(network.left_out[:3])}, ..."
        )
    if network.padding is not None:
        _mask_padding(network.model, network.padding)
        notes.append(
            f"Tokens {network.padding} are padding, by the pad_token_id of config.json: nothing "
            "attends to them, and means over positions leave them out."
        )
    return Loaded(
        network.model,
        nnx.state(network.model),
        Path(name).resolve().name,
        network.source,
        network.preprocess,
        tuple(notes),
        network.padding,
    )


def _mask_padding(model: nnx.Module, padding: int) -> None:
    """Let a language model mask tokens of this id."""
    match model:
        case BERT():
            model.padding = padding
        case BERTClassifier():
            model.bert.padding = padding
