"""The network of [W25]: a ResNet-18 per frame, a bidirectional GRU over frames, one intensity per frame.

Conventions
-----------
B clips, T steps, crops of S x S px. Input is float32 [B, T, S, S], grey levels / 255. Output [B, T] in (0, 1).
Parameters of the encoder are named as in torchvision's resnet18, so that a weights file for it can be loaded; the
grey crop (or its difference to the clip's first step) fills all three channels.

He et al., Deep Residual Learning, CVPR 2016, doi 10.1109/CVPR.2016.90.

Differences
-----------
``width`` scales the channels (64 is ResNet-18). ``reference: first`` shows the encoder each step's difference to the
first step of its clip instead of the crop: what a face looks like no longer matters, only how it changed (ours).
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pfes.base.errors import InputError
from pfes.base.torch_files import read_torch
from pfes.intensity.parameters import IntensityModelParameters

MEAN, DEVIATION = 0.45, 0.225  # of grey levels, as ImageNet's on average
CONTRAST = 8.0  # factor on differences, which are small against grey levels


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, out, H / stride, W / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Residual network of 18 layers without its classifier: images [N, 3, S, S] -> features [N, 8 width]."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.features = 8 * width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage in range(4):
            out = width * 2**stage
            first = BasicBlock(channels, out, 1 if stage == 0 else 2)
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, BasicBlock(out, out, 1)))
            channels = out
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, 8 width]."""
        x = functional.relu(self.bn1(self.conv1(images)))  # [N, width, S/2, S/2]
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x.mean((2, 3))


class IntensityModel(nn.Module):
    """Encoder, GRU and one linear layer."""

    def __init__(self, params: IntensityModelParameters) -> None:
        super().__init__()
        self.params = params
        self.encoder = ResNet18(params.width)
        channels = self.encoder.features
        self.gru = None
        if params.recurrent:
            self.gru = nn.GRU(channels, params.hidden, batch_first=True, bidirectional=True)
            channels = 2 * params.hidden
        self.out = nn.Linear(channels, 1)

    def forward(self, clips: Tensor) -> Tensor:
        """Return intensity [B, T] in (0, 1) of ``clips`` [B, T, S, S], grey levels / 255."""
        batch, steps = clips.shape[:2]
        changes = self.params.reference == "first"
        images = CONTRAST * (clips - clips[:, :1]) if changes else (clips - MEAN) / DEVIATION
        images = images.flatten(0, 1)[:, None].expand(-1, 3, -1, -1)  # [B T, 3, S, S]
        features = self.encoder(images).view(batch, steps, -1)
        if self.gru is not None:
            features = self.gru(features)[0]
        features = functional.dropout(features, self.params.dropout, self.training)
        return torch.sigmoid(self.out(features)).squeeze(-1)


def load_encoder(model: IntensityModel, path: Path | str) -> None:
    """Start the encoder from a state dict of torchvision's resnet18 (its ``fc`` is left out).

    Raises InputError where the file is no state dict or its names or shapes differ, naming the first that does.
    """
    state = read_torch(path, "a weights file", "a state dict of resnet18")
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds a {type(state).__name__}, expected a state dict of resnet18")
    own = model.encoder.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    for name in sorted(set(own) | set(state)):
        found = tuple(state[name].shape) if name in state else "nothing"
        expected = tuple(own[name].shape) if name in own else "nothing"
        if found != expected:
            raise InputError(
                f"{path}: {name} is {found}, expected {expected}; give weights of resnet18 and set width: 64"
            )
    model.encoder.load_state_dict(state)
