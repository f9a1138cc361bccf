"""Train a small Fashion-MNIST network and export it to ONNX.

    python3 train.py                                  train, write fashion_mnist.onnx and its labels
    python3 train.py --nonlinearity elu --pool average --output elu_average.onnx
    python3 train.py --export-test DIR                write the test set as images.npy, labels.npy
    python3 train.py --sample-images DIR              write a few test images as PNG

Data: the Debian package dataset-fashion-mnist (or --data DIR with the four idx .gz files).
Needs numpy; training needs torch and onnx, --sample-images pillow.
"""
import argparse
import gzip
import math
import time
from collections import OrderedDict
from pathlib import Path

import numpy
try:
    import torch
    from torch import nn
except ImportError:  # only training needs PyTorch
    torch = nn = None

DATA = Path("/usr/share/datasets/fashion-mnist")
LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
WIDTHS = (16, 32, 48)  # channels of the three stages: 28x28, 14x14 and 7x7
NONLINEARITIES = {
    "identity": lambda channels: nn.Identity(),
    "relu": lambda channels: nn.ReLU(),
    "leaky_relu": lambda channels: nn.LeakyReLU(0.1),
    "prelu": lambda channels: nn.PReLU(channels),
    "elu": lambda channels: nn.ELU(),
    "selu": lambda channels: nn.SELU(),
    "celu": lambda channels: nn.CELU(0.5),  # with 1.0 it would be the same function as elu
}
POOLS = ("max", "average", "stride")  # stride: the convolution has stride 2 and no pooling follows


class ResidualBlock(nn.Module if nn else object):
    """nonlinearity(x + second(first(x))); only `first` has a non-linearity of its own."""
    def __init__(self, channels, nonlinearity):
        super().__init__()
        self.first = convolution(channels, channels, nonlinearity)
        self.second = convolution(channels, channels, None)
        self.nonlinearity = NONLINEARITIES[nonlinearity](channels)

    def forward(self, x):
        return self.nonlinearity(x + self.second(self.first(x)))


def named(**layers):
    """Layers in sequence; their names become part of the ONNX node names."""
    return nn.Sequential(OrderedDict(layers))


def convolution(inputs, outputs, nonlinearity, stride=1):
    """3x3 convolution, batch normalisation and, unless None, the non-linearity."""
    last = {"nonlinearity": NONLINEARITIES[nonlinearity](outputs)} if nonlinearity else {}
    return named(convolution=nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
                 normalization=nn.BatchNorm2d(outputs), **last)


def reducing_stage(inputs, outputs, nonlinearity, pool):
    """A convolution after which height and width are halved."""
    if pool == "stride":
        return convolution(inputs, outputs, nonlinearity, stride=2)
    layers = convolution(inputs, outputs, nonlinearity)
    layers.add_module("pooling", nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
    return layers


def build_network(nonlinearity, pool):
    first, second, third = WIDTHS
    return named(stage1=reducing_stage(1, first, nonlinearity, pool),
                 stage2=reducing_stage(first, second, nonlinearity, pool),
                 stage3=convolution(second, third, nonlinearity),
                 residual=ResidualBlock(third, nonlinearity),
                 average=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(),
                 classifier=nn.Linear(third, len(LABELS)))


def read_idx(path):
    """An idx file: two zeros, 8 for bytes, rank, big-endian 32-bit sizes, the bytes."""
    content = gzip.open(path).read()
    shape = numpy.frombuffer(content, ">u4", content[3], 4)
    return numpy.frombuffer(content, numpy.uint8, offset=4 + shape.nbytes).reshape(shape)


def load(folder, part):
    """Images as float32 [n,1,28,28] in 0..1 and labels as int64 [n]; part is train or t10k."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return images[:, None].astype(numpy.float32) / 255, labels.astype(numpy.int64)


def augment(images, largest_shift=1):
    """Flip each image left to right with probability 1/2 and shift it by up to one pixel."""
    count, _, height, width = images.shape
    down, right = torch.randint(2 * largest_shift + 1, (2, count, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    padded = nn.functional.pad(images, [largest_shift] * 4)[:, 0]
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def accuracy(network, images, labels):
    """Per cent of the images that get the right label."""
    network.eval()
    with torch.no_grad():
        right = sum(int((network(batch).argmax(1) == wanted).sum())
                    for batch, wanted in zip(images.split(500), labels.split(500)))
    return 100 * right / len(labels)


def train(options):
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only costs time here
    started = time.time()
    images, labels = map(torch.from_numpy, load(options.data, "train"))
    test_images, test_labels = map(torch.from_numpy, load(options.data, "t10k"))
    network = build_network(options.nonlinearity, options.pool).to(memory_format=torch.channels_last)
    print("parameters:", sum(weights.numel() for weights in network.parameters()))
    optimizer = torch.optim.SGD(network.parameters(), lr=options.learning_rate, momentum=0.9,
                                weight_decay=1e-4, nesterov=True)
    steps = options.epochs * math.ceil(len(images) / options.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, steps)
    for epoch in range(1, options.epochs + 1):
        network.train()
        total_loss = 0.0
        for chosen in torch.randperm(len(images)).split(options.batch_size):
            logits = network(augment(images[chosen]))
            loss = nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item() * len(chosen)
        percent, seconds = accuracy(network, test_images, test_labels), time.time() - started
        print(f"epoch {epoch:2}  loss {total_loss / len(images):.4f}  test accuracy {percent:.2f} %  "
              f"{seconds:.0f} s", flush=True)
    return network.to(memory_format=torch.contiguous_format)


def export(network, path):
    """Write the labels and one ONNX file in which BatchNormalization is not folded away."""
    torch.onnx.export(network.eval(), torch.zeros(1, 1, 28, 28), str(path), opset_version=18,
                      dynamo=False, training=torch.onnx.TrainingMode.PRESERVE,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={name: {0: "batch"} for name in ("image", "logits")})
    path.with_suffix(".labels.txt").write_text("\n".join(LABELS) + "\n")


def export_test(target, folder):
    images, labels = load(folder, "t10k")
    target.mkdir(parents=True, exist_ok=True)
    numpy.save(target / "images.npy", images)
    numpy.save(target / "labels.npy", labels)


def sample_images(target, folder):
    """Write the first test image of each class and the first two others as 8-bit grey PNG."""
    from PIL import Image
    images, labels = load(folder, "t10k")
    first_of_class = [int(numpy.argmax(labels == label)) for label in range(len(LABELS))]
    others = [index for index in range(len(labels)) if index not in first_of_class][:2]
    target.mkdir(parents=True, exist_ok=True)
    for index in sorted(first_of_class + others):
        slug = LABELS[labels[index]].lower().replace("/", "-").replace(" ", "-")
        pixels = (images[index, 0] * 255).round().astype(numpy.uint8)
        Image.fromarray(pixels).save(target / f"{index:05}-{slug}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nonlinearity", choices=NONLINEARITIES, default="relu")
    parser.add_argument("--pool", choices=POOLS, default="max")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1, help="peak of one cycle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="the weights depend on it")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("fashion_mnist.onnx"))
    parser.add_argument("--export-test", type=Path, metavar="DIR")
    parser.add_argument("--sample-images", type=Path, metavar="DIR")
    options = parser.parse_args()
    if options.export_test:
        export_test(options.export_test, options.data)
    elif options.sample_images:
        sample_images(options.sample_images, options.data)
    else:
        export(train(options), options.output)


if __name__ == "__main__":
    main()
