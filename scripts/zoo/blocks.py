"""Blocks that published networks are made of."""

import torch
import torch.nn.functional as F
from torch import nn


def conv(
    in_c: int, out_c: int, k: int = 3, stride: int = 1, activation: type[nn.Module] = nn.ReLU, **options
) -> nn.Sequential:
    """Convolution, batch normalization, activation."""
    options = {"padding": k // 2, "bias": False} | options
    return nn.Sequential(nn.Conv2d(in_c, out_c, k, stride, **options), nn.BatchNorm2d(out_c), activation())


class Bottleneck(nn.Module):
    """Of YOLOv5 and v8."""

    def __init__(self, c: int):
        super().__init__()
        self.first, self.second = conv(c, c, 1, activation=nn.SiLU), conv(c, c, 3, activation=nn.SiLU)

    def forward(self, x):
        return x + self.second(self.first(x))


class C2f(nn.Module):
    """YOLOv8's stage: a split, bottlenecks, and everything concatenated."""

    def __init__(self, in_c: int, out_c: int, count: int):
        super().__init__()
        self.first = conv(in_c, out_c, 1, activation=nn.SiLU)
        self.blocks = nn.ModuleList(Bottleneck(out_c // 2) for _ in range(count))
        self.last = conv(out_c // 2 * (count + 2), out_c, 1, activation=nn.SiLU)

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Sppf(nn.Module):
    """YOLO's spatial pyramid: one max pool three times."""

    def __init__(self, c: int):
        super().__init__()
        self.first, self.last = conv(c, c // 2, 1, activation=nn.SiLU), conv(c * 2, c, 1, activation=nn.SiLU)

    def forward(self, x):
        pools = [self.first(x)]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        return self.last(torch.cat(pools, 1))


class SqueezeExcite(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.down, self.up = nn.Linear(c, c // 4), nn.Linear(c // 4, c)

    def forward(self, x):
        weight = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * weight[:, :, None, None]


class Cbam(nn.Module):
    """Attention over channels, then over pixels (Woo et al., 2018)."""

    def __init__(self, c: int):
        super().__init__()
        self.channels = nn.Sequential(nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, c, 1))
        self.pixels = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):
        x = x * torch.sigmoid(self.channels(F.adaptive_avg_pool2d(x, 1)) + self.channels(F.adaptive_max_pool2d(x, 1)))
        return x * torch.sigmoid(self.pixels(torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)))


class LayerNorm2d(nn.Module):
    """Normalizes the channels of each pixel, by parts, as ConvNeXt's and NAFNet's own code does."""

    def __init__(self, c: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        return self.weight[:, None, None] * ((x - mean) / torch.sqrt(variance + 1e-6)) + self.bias[:, None, None]


class SelfAttention(nn.Module):
    """Non-local attention over the pixels of a feature map."""

    def __init__(self, c: int):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(8, c), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, c, h * w).unbind(1)
        weights = torch.softmax(q.transpose(1, 2) @ k / c**0.5, -1)
        return x + self.out((v @ weights.transpose(1, 2)).reshape(n, c, h, w))
