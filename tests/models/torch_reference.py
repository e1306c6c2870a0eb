"""The published image models in torch, written from the papers with the names and forward passes of
torchvision.
"""

import pytest

torch = pytest.importorskip("torch", reason="parity with torch needs torch")
nn = torch.nn


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Residual(nn.Module):
    """BasicBlock of two 3×3 convolutions, or Bottleneck of 1×1, 3×3, 1×1 with the stride on the
    3×3.
    """

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        self.convolutions = 3 if bottleneck else 2
        plan = (
            [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
            if bottleneck
            else [(inputs, width, 3, stride), (width, width, 3, 1)]
        )
        for i, (a, b, size, step) in enumerate(plan, start=1):
            setattr(self, f"conv{i}", conv(a, b, size, step))
            setattr(self, f"bn{i}", nn.BatchNorm2d(b))
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = x
        for i in range(1, self.convolutions + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.convolutions:
                y = self.relu(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, depths, bottleneck):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                blocks.append(Residual(inputs, 64 * 2**i, 2 if i and not j else 1, bottleneck))
                inputs = 64 * 2**i * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class VGG(nn.Module):
    def __init__(self, stages, batch_norm, hidden):
        super().__init__()
        layers, width = [], 3
        for stage in stages:
            for outputs in stage:
                layers.append(nn.Conv2d(width, outputs, 3, padding=1))
                layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
                layers.append(nn.ReLU())
                width = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(width * 49, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, 10),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()

        def pool():
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        layers = [
            nn.Conv2d(3, 64, 3, 2),
            nn.ReLU(),
            pool(),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            pool(),
        ]
        layers += [
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            pool(),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
        ]
        self.features = nn.Sequential(*layers, Fire(384, 64, 256), Fire(512, 64, 256))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)


class SameConv(nn.Conv2d):
    """Padded as TensorFlow does: the odd row and column below and to the right."""

    def forward(self, x):
        missing = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        ]
        down, across = missing
        x = nn.functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(x)


class MBConv(nn.Module):
    def __init__(self, inputs, outputs, size, stride, expansion):
        super().__init__()
        width = inputs * expansion

        def norm(channels):
            return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)

        self._expand_conv = None
        if expansion != 1:
            self._expand_conv = SameConv(inputs, width, 1, bias=False)
            self._bn0 = norm(width)
        self._depthwise_conv = SameConv(width, width, size, stride, groups=width, bias=False)
        self._bn1 = norm(width)
        self._project_conv = SameConv(width, outputs, 1, bias=False)
        self._bn2 = norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        relu6 = nn.functional.relu6
        y = x if self._expand_conv is None else relu6(self._bn0(self._expand_conv(x)))
        y = relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    # One block a row: kernel, stride, expansion, channels out.
    BLOCKS = (
        *[(3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40)],
        *[
            (3, 2, 6, 80),
            (3, 1, 6, 80),
            (3, 1, 6, 80),
            (5, 1, 6, 112),
            (5, 1, 6, 112),
            (5, 1, 6, 112),
        ],
        *[(5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320)],
    )

    def __init__(self):
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3, momentum=0.01)
        self._blocks = nn.ModuleList()
        inputs = 32
        for size, stride, expansion, outputs in self.BLOCKS:
            self._blocks.append(MBConv(inputs, outputs, size, stride, expansion))
            inputs = outputs
        self._conv_head = SameConv(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3, momentum=0.01)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x):
        relu6 = nn.functional.relu6
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean(dim=(2, 3)))


VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
HIDDEN = 64  # in place of 4096, which would be most of a test's time and memory

MODELS = {
    "resnet18": lambda: ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda: ResNet((3, 4, 6, 3), bottleneck=True),
    "vgg16": lambda: VGG(VGG16, batch_norm=False, hidden=HIDDEN),
    "vgg16_bn": lambda: VGG(VGG16, batch_norm=True, hidden=HIDDEN),
    "squeezenet1_1": SqueezeNet,
    "efficientnet_lite0": EfficientNetLite0,
}


def random_model(name, seed=0):
    """In eval mode; the statistics and scales of batch norms are random too, or they would hide
    mistakes.
    """
    torch.manual_seed(seed)
    model = MODELS[name]().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model


def outputs_of_layers(model, images):
    """(output, {name: outputs of its calls, in order}) for images (n, h, w, 3), as numpy arrays of
    NHWC layout.
    """
    calls = {}

    def as_numpy(t):
        return (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).numpy()

    for name, layer in model.named_modules():
        if name and not isinstance(layer, nn.ModuleList):
            layer.register_forward_hook(
                lambda _, __, out, name=name: calls.setdefault(name, []).append(as_numpy(out))
            )
    with torch.no_grad():
        output = model(torch.tensor(images).permute(0, 3, 1, 2))
    return output.numpy(), calls
