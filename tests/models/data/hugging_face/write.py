"""Writes tiny random models by transformers 5.24, and what they answer: `python write.py`."""

from pathlib import Path

import numpy as np
import torch
import transformers

SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 12, "layer_norm_eps": 1e-3}


def write(model, inputs):
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if "running_var" in name or ("orm" in name and name.endswith("weight")):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
            elif tensor.is_floating_point():
                tensor.copy_(0.3 * torch.randn_like(tensor))
        output = model.eval()(**inputs).logits
    folder = Path(__file__).parent / model.config.model_type
    model.save_pretrained(folder)
    np.savez(folder / "expected.npz", output=output, **inputs)


torch.manual_seed(0)
tokens = torch.randint(0, 20, (3, 6))
mask = torch.ones(3, 6, dtype=torch.long)
mask[1, 4:] = 0
bert = transformers.BertConfig(
    vocab_size=20,
    max_position_embeddings=10,
    hidden_act="gelu_new",
    id2label={0: "no", 1: "perhaps", 2: "yes"},
    **SMALL,
)
write(
    transformers.BertForSequenceClassification(bert),
    {"input_ids": tokens, "attention_mask": mask, "token_type_ids": torch.randint(0, 2, (3, 6))},
)
vit = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=3, **SMALL)
write(transformers.ViTForImageClassification(vit), {"pixel_values": torch.randn(2, 3, 8, 8)})
resnet = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[8, 12], depths=[1, 2])
write(
    transformers.ResNetForImageClassification(resnet), {"pixel_values": torch.randn(2, 3, 21, 16)}
)
