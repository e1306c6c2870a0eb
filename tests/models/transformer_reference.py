"""Transformers made of torch.nn's own attention and encoder layers, under the published names of
their weights.
"""

import pytest

torch = pytest.importorskip("torch", reason="parity with torch needs torch")
nn = torch.nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.Linear(4 * width, width),
            nn.Dropout(0.0),
        )

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self, length, width, depth, heads):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, length, width))
        self.layers = nn.Sequential()
        for i in range(depth):
            self.layers.add_module(f"encoder_layer_{i}", Block(width, heads))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class ViT(nn.Module):
    def __init__(self, width, depth, heads, classes, image, patch):
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.encoder = Encoder((image // patch) ** 2 + 1, width, depth, heads)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(width, classes))

    def forward(self, x):
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1)
        return self.heads(self.encoder(x)[:, 0])


def random_vit(width, depth, heads, classes, image, patch):
    """A ViT whose weights are all random, those that a new one has 0 or 1 included."""
    torch.manual_seed(0)
    model = ViT(width, depth, heads, classes, image, patch).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model


def vit_outputs(model, images):
    """(logits, {block or last norm: output}) of NHWC images."""
    found = {}

    def keep(name):
        return lambda module, _, output: found.update({name: output.numpy()})

    for name, module in model.named_modules():
        if isinstance(module, Block) or name == "encoder.ln":
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    return logits, found


def bert_outputs(tensors, heads, ids, mask):
    """[(n, t, d) embeddings, block 0, block 1, ...] and the pooled (n, d) of BERT with weights
    under Hugging Face's names.
    """
    w = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    ids, padding = torch.from_numpy(ids).long(), torch.from_numpy(mask) == 0
    x = w["embeddings.word_embeddings.weight"][ids]
    x = (
        x
        + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + w["embeddings.token_type_embeddings.weight"][0]
    )
    width = x.shape[-1]
    x = nn.functional.layer_norm(
        x, (width,), w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"], 1e-12
    )
    outputs = [x]
    while any(name.startswith(f"encoder.layer.{len(outputs) - 1}.") for name in w):
        layer = _encoder_layer(w, f"encoder.layer.{len(outputs) - 1}.", width, heads)
        with torch.no_grad():
            x = layer(x, src_key_padding_mask=padding)
        outputs.append(x)
    pooled = torch.tanh(x[:, 0] @ w["pooler.dense.weight"].T + w["pooler.dense.bias"])
    return [output.numpy() for output in outputs], pooled.numpy()


def _encoder_layer(w, prefix, width, heads):
    hidden = len(w[prefix + "intermediate.dense.bias"])
    # In training mode, without dropout, as the fast path of eval mode cuts padding off.
    layer = nn.TransformerEncoderLayer(
        width, heads, hidden, 0.0, "gelu", 1e-12, batch_first=True, norm_first=False
    )
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    state = {
        f"{ours}.{kind}": w[f"{prefix}{theirs}.{kind}"]
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    for kind in ("weight", "bias"):
        parts = [w[f"{prefix}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
        state[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
    layer.load_state_dict(state)
    return layer
