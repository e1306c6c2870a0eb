"""Flax models of the field, built so that ``tap`` sees post-activations: ``tap(model, model.post_activations)``."""

from jaxalign.models.bert import BERT, bert_base, embed, minilm_l6
from jaxalign.models.cnn import CNN
from jaxalign.models.decoder import Decoder
from jaxalign.models.efficientnet_lite import EfficientNetLite, efficientnet_lite
from jaxalign.models.mlp import MLP
from jaxalign.models.resnet import ResNet, resnet18, resnet34, resnet50
from jaxalign.models.sentences import SentenceEncoder, sentence_encoder
from jaxalign.models.squeezenet import SqueezeNet
from jaxalign.models.vgg import VGG, vgg11, vgg16
from jaxalign.models.vit import ViT, vit_b_16, vit_s_16

__all__ = [
    "BERT",
    "CNN",
    "MLP",
    "VGG",
    "Decoder",
    "EfficientNetLite",
    "ResNet",
    "SentenceEncoder",
    "SqueezeNet",
    "ViT",
    "bert_base",
    "efficientnet_lite",
    "embed",
    "minilm_l6",
    "resnet18",
    "resnet34",
    "resnet50",
    "sentence_encoder",
    "vgg11",
    "vgg16",
    "vit_b_16",
    "vit_s_16",
]
