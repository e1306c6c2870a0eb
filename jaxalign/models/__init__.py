"""Flax models of the field; ``tap(model, model.post_activations)`` captures post-activations."""

from jaxalign.models._bert import BERT, BERTClassifier, bert_base, embed, minilm_l6
from jaxalign.models._cnn import CNN
from jaxalign.models._decoder import Decoder
from jaxalign.models._efficientnet_lite import EfficientNetLite, Scaling, efficientnet_lite
from jaxalign.models._initialization import Initialization, lecun_normal, torch_uniform
from jaxalign.models._mlp import MLP
from jaxalign.models._resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet34, resnet50
from jaxalign.models._sentences import SentenceEncoder, sentence_encoder
from jaxalign.models._squeezenet import SqueezeNet
from jaxalign.models._vgg import VGG, vgg11, vgg16
from jaxalign.models._vit import ViT, vit_b_16, vit_s_16

__all__ = [
    "BERT",
    "CNN",
    "MLP",
    "VGG",
    "BERTClassifier",
    "BasicBlock",
    "Bottleneck",
    "Decoder",
    "EfficientNetLite",
    "Initialization",
    "ResNet",
    "Scaling",
    "SentenceEncoder",
    "SqueezeNet",
    "ViT",
    "bert_base",
    "efficientnet_lite",
    "embed",
    "lecun_normal",
    "minilm_l6",
    "resnet18",
    "resnet34",
    "resnet50",
    "sentence_encoder",
    "torch_uniform",
    "vgg11",
    "vgg16",
    "vit_b_16",
    "vit_s_16",
]
