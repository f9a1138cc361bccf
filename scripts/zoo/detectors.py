"""Detectors, with the heads that make boxes of feature maps."""

import torch
import torch.nn.functional as F
from blocks import C2f, Sppf, conv
from torch import nn


class Yolo(nn.Module):
    """YOLOv8's shape: C2f stages, SPPF, a top-down path, and the decoded head with its distribution of distances."""

    BINS, CLASSES = 16, 20

    def __init__(self, activation=nn.SiLU):
        super().__init__()
        step = lambda i, o: conv(i, o, 3, 2, activation)
        self.stem = nn.Sequential(step(3, 16), step(16, 32), C2f(32, 32, 1), step(32, 64))
        self.p3, self.p4 = C2f(64, 64, 2), nn.Sequential(step(64, 128), C2f(128, 128, 2))
        self.p5 = nn.Sequential(step(128, 256), C2f(256, 256, 1), Sppf(256))
        self.up4, self.up3 = C2f(384, 128, 1), C2f(192, 64, 1)
        out = 4 * self.BINS + self.CLASSES
        self.heads = nn.ModuleList(
            nn.Sequential(conv(c, 64, 3, activation=activation), nn.Conv2d(64, out, 1)) for c in (64, 128, 256)
        )

    def forward(self, x):
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        p4 = self.up4(torch.cat([F.interpolate(p5, scale_factor=2.0, mode="nearest"), p4], 1))
        p3 = self.up3(torch.cat([F.interpolate(p4, scale_factor=2.0, mode="nearest"), p3], 1))
        levels = [head(level) for head, level in zip(self.heads, (p3, p4, p5))]
        flat = torch.cat([level.flatten(2) for level in levels], 2)
        boxes, classes = flat.split((4 * self.BINS, self.CLASSES), 1)
        n, _, places = boxes.shape
        bins = torch.arange(self.BINS, dtype=boxes.dtype)
        distances = (boxes.view(n, 4, self.BINS, places).transpose(1, 2).softmax(1) * bins.view(1, -1, 1, 1)).sum(1)
        anchors, strides = self.anchors(levels)
        before, after = distances.chunk(2, 1)
        low, high = anchors - before, anchors + after
        return torch.cat([(low + high) / 2 * strides, (high - low) * strides, classes.sigmoid()], 1)

    @staticmethod
    def anchors(levels):
        places, strides = [], []
        for level, stride in zip(levels, (8, 16, 32)):
            h, w = level.shape[2:]
            y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
            places.append(torch.stack([x.flatten(), y.flatten()]))
            strides.append(torch.full((1, h * w), float(stride)))
        return torch.cat(places, 1)[None], torch.cat(strides, 1)


class YoloV5Head(nn.Module):
    """YOLOv5's head: anchors, and boxes from sigmoids by slices in place."""

    def __init__(self):
        super().__init__()
        step = lambda i, o: conv(i, o, 3, 2, nn.SiLU)
        self.p3 = nn.Sequential(nn.Conv2d(3, 16, 6, 2, 2), nn.SiLU(), step(16, 32), step(32, 64))
        self.p4 = step(64, 128)
        self.heads = nn.ModuleList(nn.Conv2d(c, 3 * 25, 1) for c in (64, 128))
        self.register_buffer(
            "sizes", torch.tensor([[10.0, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119]]).view(2, 1, 3, 1, 1, 2)
        )

    def forward(self, x):
        p3 = self.p3(x)
        found = []
        for head, level, stride, sizes in zip(self.heads, (p3, self.p4(p3)), (8, 16), self.sizes):
            n, _, h, w = level.shape
            y = head(level).view(n, 3, 25, h, w).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
            grid = (
                torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), 2)
                .expand(1, 3, h, w, 2)
                .float()
            )
            y[..., 0:2] = (y[..., 0:2] * 2 - 0.5 + grid) * stride
            y[..., 2:4] = (y[..., 2:4] * 2) ** 2 * sizes
            found.append(y.view(n, -1, 25))
        return torch.cat(found, 1)


class CenterNet(nn.Module):
    """Peaks of a heatmap, found by a max pool and a comparison, as CenterNet and many pose estimators find them."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2))
        self.up = nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.heat, self.size = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x):
        x = F.relu(self.up(self.body(x)))
        heat = self.heat(x).sigmoid()
        peaks = (F.max_pool2d(heat, 3, 1, 1) == heat).float()
        return heat * peaks, self.size(x).abs(), torch.where(heat > 0.5, heat, torch.zeros_like(heat))
