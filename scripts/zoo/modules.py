"""Networks of every use that people write in PyTorch themselves: small, of the published structures."""

import torch
import torch.nn.functional as F
from blocks import Cbam, LayerNorm2d, SelfAttention, SqueezeExcite, conv
from detectors import CenterNet, Yolo, YoloV5Head
from export import network
from network import Network
from torch import nn


class UNet(nn.Module):
    def __init__(self, up: str, normalize=nn.BatchNorm2d, activation=nn.ReLU, attention: bool = False):
        super().__init__()

        def double(in_c: int, out_c: int) -> nn.Sequential:
            layers = []
            for c in (in_c, out_c):
                layers += [nn.Conv2d(c, out_c, 3, padding=1), normalize(out_c), activation()]
            return nn.Sequential(*layers)

        sizes = [16, 32, 64]
        self.down = nn.ModuleList(double(a, b) for a, b in zip([3, 16, 32], sizes))
        self.middle = nn.Sequential(double(64, 64), SelfAttention(64) if attention else nn.Identity())
        transposed = up == "transpose"
        self.up = nn.ModuleList(nn.ConvTranspose2d(c, c, 2, 2) if transposed else self.resize(up) for c in (64, 32, 16))
        self.join = nn.ModuleList(double(2 * a, b) for a, b in zip(sizes[::-1], [32, 16, 16]))
        self.last = nn.Conv2d(16, 2, 1)

    @staticmethod
    def resize(mode: str) -> nn.Upsample:
        return nn.Upsample(
            scale_factor=2, mode=mode, **({} if mode == "nearest" else {"align_corners": mode == "bilinear"})
        )

    def forward(self, x):
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.middle(x)
        for up, join, skip in zip(self.up, self.join, skips[::-1]):
            x = join(torch.cat([up(x), skip], 1))
        return torch.sigmoid(self.last(x))


class Srgan(nn.Module):
    """SRGAN's generator: PRelu for each channel, pixel shuffle."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 32, 9, padding=4), nn.PReLU(32))
        block = lambda: nn.Sequential(
            conv(32, 32, activation=nn.PReLU), nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32)
        )
        self.blocks = nn.ModuleList(block() for _ in range(4))
        grow = lambda: nn.Sequential(nn.Conv2d(32, 128, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
        self.last = nn.Sequential(grow(), grow(), nn.Conv2d(32, 3, 9, padding=4), nn.Tanh())

    def forward(self, x):
        x = start = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x + start)


class NafNet(nn.Module):
    """Restoration without activations: gates, layer normalization of channels, attention over channels."""

    def __init__(self, c: int = 32):
        super().__init__()
        self.norm, self.first, self.depthwise = (
            LayerNorm2d(c),
            nn.Conv2d(c, 2 * c, 1),
            nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c),
        )
        self.attention, self.last, self.scale = (
            nn.Conv2d(c, c, 1),
            nn.Conv2d(c, c, 1),
            nn.Parameter(torch.full((1, c, 1, 1), 0.5)),
        )
        self.intro, self.outro = nn.Conv2d(3, c, 3, padding=1), nn.Conv2d(c, 12, 3, padding=1)

    def forward(self, image):
        x = self.intro(F.pad(image, (0, 2, 0, 3), mode="reflect"))
        a, b = self.depthwise(self.first(self.norm(x))).chunk(2, 1)
        gated = a * b
        gated = gated * self.attention(F.adaptive_avg_pool2d(gated, 1))
        x = x + self.last(gated) * self.scale
        return F.pixel_shuffle(self.outro(x), 2)


class StyleTransfer(nn.Module):
    """Johnson et al.: reflection pads, instance normalization, residual blocks, nearest upsampling."""

    def __init__(self):
        super().__init__()
        layer = lambda i, o, k, s=1: nn.Sequential(
            nn.ReflectionPad2d(k // 2), nn.Conv2d(i, o, k, s), nn.InstanceNorm2d(o, affine=True)
        )
        self.down = nn.Sequential(
            layer(3, 16, 9), nn.ReLU(), layer(16, 32, 3, 2), nn.ReLU(), layer(32, 64, 3, 2), nn.ReLU()
        )
        self.residual = nn.ModuleList(nn.Sequential(layer(64, 64, 3), nn.ReLU(), layer(64, 64, 3)) for _ in range(3))
        up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up = nn.Sequential(
            up, layer(64, 32, 3), nn.ReLU(), up, layer(32, 16, 3), nn.ReLU(), nn.ReflectionPad2d(4), nn.Conv2d(16, 3, 9)
        )

    def forward(self, x):
        x = self.down(x)
        for block in self.residual:
            x = x + block(x)
        return self.up(x)


class Crnn(nn.Module):
    """Text lines: a convolutional encoder, columns as a sequence, and one distribution over characters for each."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 32),
            nn.MaxPool2d(2),
            conv(32, 64),
            nn.MaxPool2d(2),
            conv(64, 128),
            nn.MaxPool2d((2, 2), (2, 1), (0, 1)),
            conv(128, 128, 2, padding=0, stride=(2, 1)),
        )
        self.mix, self.last = nn.Conv1d(256, 128, 3, padding=1), nn.Linear(128, 37)

    def forward(self, x):
        x = self.body(x)
        x = F.gelu(self.mix(x.flatten(1, 2))).permute(2, 0, 1)
        return F.log_softmax(self.last(x), 2)


class Tcn(nn.Module):
    """Dilated causal convolutions of signals, gated as WaveNet's."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(2, 32, 1)
        self.filters = nn.ModuleList(nn.Conv1d(32, 64, 3, dilation=2**i) for i in range(5))
        self.out = nn.ModuleList(nn.utils.weight_norm(nn.Conv1d(32, 32, 1)) for _ in range(5))
        self.last = nn.Sequential(
            nn.ConvTranspose1d(32, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv1d(16, 1, 7, padding=3)
        )

    def forward(self, x):
        x = self.first(x)
        for i, (filters, out) in enumerate(zip(self.filters, self.out)):
            a, b = filters(F.pad(x, (2 ** (i + 1), 0))).chunk(2, 1)
            x = x + out(torch.tanh(a) * torch.sigmoid(b))
        return self.last(x)


class C3d(nn.Module):
    """Convolutions of volumes, as for video and tomography."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
            nn.Conv3d(8, 16, 3, padding=1, stride=(1, 2, 2)),
            nn.ReLU(),
            nn.AvgPool3d(2),
            nn.Conv3d(16, 16, (1, 3, 3), dilation=(1, 2, 2), padding=(0, 2, 2), groups=4),
            nn.ConvTranspose3d(16, 8, 2, 2),
        )

    def forward(self, x):
        x = F.relu(self.body(x))
        return x, x.mean((2, 3, 4))


class Fpn(nn.Module):
    """A feature pyramid with attention of both kinds, group normalization and sizes taken from other tensors."""

    def __init__(self):
        super().__init__()
        self.c2, self.c3, self.c4 = (
            conv(3, 32, 5, 4, nn.Mish),
            nn.Sequential(conv(32, 64, 3, 2, nn.Hardswish), Cbam(64)),
            nn.Sequential(conv(64, 96, 3, 2), SqueezeExcite(96)),
        )
        self.lateral = nn.ModuleList(nn.Conv2d(c, 48, 1) for c in (32, 64, 96))
        self.norm, self.head = nn.GroupNorm(6, 48), nn.Conv2d(48, 9, 3, padding=1)

    def forward(self, x):
        c2 = self.c2(x)
        c3 = self.c3(c2)
        p4 = self.lateral[2](self.c4(c3))
        p3 = self.lateral[1](c3) + F.interpolate(p4, size=c3.shape[2:], mode="nearest")
        p2 = self.lateral[0](c2) + F.interpolate(p3, size=c2.shape[2:], mode="bilinear", align_corners=False)
        return [self.head(F.elu(self.norm(p))) for p in (p2, p3, p4)]


class PspNet(nn.Module):
    """Pools to 1, 2, 3 and 6, resized again: adaptive pools and bicubic."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, 32, 3, 2), conv(32, 64, 3, 2))
        self.pools = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(s), conv(64, 16, 1)) for s in (1, 2, 3, 6))
        self.last = nn.Conv2d(128, 8, 1)

    def forward(self, image):
        x = self.body(image)
        up = [F.interpolate(pool(x), size=x.shape[2:], mode="bilinear", align_corners=True) for pool in self.pools]
        return (
            F.interpolate(self.last(torch.cat([x, *up], 1)), scale_factor=4, mode="bicubic").argmax(1).float()[:, None]
            + 1
        )


class ConvMixer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = lambda: nn.Sequential(nn.Conv2d(64, 64, 7, padding=3, groups=64), nn.GELU(), nn.BatchNorm2d(64))
        self.first = nn.Sequential(nn.Conv2d(3, 64, 7, 7), nn.GELU(), nn.BatchNorm2d(64))
        self.mixers = nn.ModuleList(layer() for _ in range(3))
        self.points = nn.ModuleList(
            nn.Sequential(nn.Conv2d(64, 64, 1), nn.GELU(approximate="tanh"), nn.BatchNorm2d(64)) for _ in range(3)
        )
        self.last = nn.Linear(64, 100)

    def forward(self, x):
        x = self.first(x)
        for mixer, point in zip(self.mixers, self.points):
            x = point(x + mixer(x))
        return F.normalize(self.last(x.mean((2, 3))))


class Landmarks(nn.Module):
    """A face network's end: ghost features, L2 pools, soft positions by a softmax over pixels."""

    def __init__(self):
        super().__init__()
        self.first = conv(3, 16, 3, 2, nn.PReLU)
        self.cheap = conv(16, 16, 3, groups=16)
        self.norm, self.heat = nn.LocalResponseNorm(5), nn.Conv2d(32, 5, 1)

    def forward(self, x):
        x = self.first(x)
        x = self.norm(torch.cat([x, self.cheap(x)], 1))
        x = F.lp_pool2d(x, 2.0, 2)
        heat = self.heat(x)
        n, k, h, w = heat.shape
        share = heat.flatten(2).softmax(2).view(n, k, h, w)
        column = (share.sum(2) * torch.linspace(0, 1, w)).sum(2)
        row = (share.sum(3) * torch.linspace(0, 1, h)).sum(2)
        return (
            torch.stack([column, row], 2),
            torch.amax(heat, (2, 3)),
            torch.var(heat, (2, 3)),
            torch.logsumexp(heat, 1),
        )


class Warp(nn.Module):
    """A spatial transformer: the sampling grid comes from the image."""

    def __init__(self):
        super().__init__()
        self.body, self.angle = nn.Sequential(conv(3, 8, 3, 2), nn.AdaptiveAvgPool2d(1)), nn.Linear(8, 6)

    def forward(self, x):
        theta = self.angle(self.body(x).flatten(1)).view(-1, 2, 3)
        return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def espcn() -> nn.Module:
    layers = [
        nn.Conv2d(1, 64, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 9, 3, padding=1),
    ]
    return nn.Sequential(*layers, nn.PixelShuffle(3), nn.Sigmoid())


def dncnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), *(conv(32, 32) for _ in range(5)), nn.Conv2d(32, 1, 3, padding=1)
    )


def dcgan() -> nn.Module:
    layers = []
    for a, b, stride, pad in [(64, 64, 1, 0), (64, 32, 2, 1), (32, 16, 2, 1)]:
        layers += [nn.ConvTranspose2d(a, b, 4, stride, pad, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 3, 2, 1, output_padding=1), nn.Tanh())


def smooth_unet() -> nn.Module:
    return UNet("bicubic", lambda c: nn.GroupNorm(8, c), nn.SiLU, attention=True)


# name, module, shape, opset, further ways to export it
ROWS = [
    ("unet_transpose", lambda: UNet("transpose"), (1, 3, 128, 96), 11, {}),
    ("unet_upsample", lambda: UNet("bilinear", activation=nn.LeakyReLU), (1, 3, 128, 96), 13, {"dynamo": True}),
    (
        "unet_nearest_open",
        lambda: UNet("nearest"),
        (1, 3, 64, 64),
        12,
        {"open_axes": {0: "n", 2: "h", 3: "w"}, "run_shape": (2, 3, 96, 80)},
    ),
    ("unet_group_norm_attention", smooth_unet, (1, 3, 64, 64), 18, {}),
    ("espcn", espcn, (1, 1, 64, 48), 10, {}),
    ("dncnn_open", dncnn, (1, 1, 32, 32), 9, {"open_axes": {2: "h", 3: "w"}, "run_shape": (1, 1, 75, 61)}),
    ("srgan", Srgan, (1, 3, 32, 24), 12, {}),
    ("nafnet", NafNet, (1, 3, 45, 61), 16, {}),
    ("style_transfer", StyleTransfer, (1, 3, 96, 128), 11, {}),
    ("dcgan", dcgan, (2, 64, 1, 1), 8, {}),
    ("yolov8", Yolo, (1, 3, 160, 192), 17, {}),
    ("yolov8_dynamo", Yolo, (1, 3, 160, 192), 19, {"dynamo": True}),
    ("yolov8_open", Yolo, (1, 3, 160, 160), 16, {"open_axes": {0: "n", 2: "h", 3: "w"}, "run_shape": (2, 3, 128, 192)}),
    ("yolov5", YoloV5Head, (1, 3, 96, 128), 12, {}),
    ("yolov4_mish", lambda: Yolo(nn.Mish), (1, 3, 128, 128), 11, {}),
    ("centernet", CenterNet, (1, 3, 64, 96), 13, {}),
    ("crnn", Crnn, (2, 1, 32, 100), 13, {}),
    ("tcn_1d", Tcn, (2, 2, 200), 13, {}),
    ("c3d", C3d, (1, 1, 8, 24, 20), 13, {}),
    ("fpn_attention", Fpn, (1, 3, 100, 76), 15, {}),
    (
        "fpn_attention_open_dynamo",
        Fpn,
        (2, 3, 96, 64),
        20,
        {"dynamo": True, "open_axes": {0: "n", 2: "h", 3: "w"}, "run_shape": (1, 3, 100, 76)},
    ),
    ("pspnet", PspNet, (1, 3, 96, 96), 14, {}),
    ("convmixer", ConvMixer, (2, 3, 84, 84), 14, {}),
    ("landmarks", Landmarks, (1, 3, 64, 64), 17, {}),
    ("spatial_transformer", Warp, (1, 3, 24, 32), 20, {"dynamo": True}),
]


def networks() -> list[Network]:
    return [
        network(name, "PyTorch module", make, shape, opset, **options) for name, make, shape, opset, options in ROWS
    ]
