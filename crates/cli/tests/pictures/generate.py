"""Makes the pictures that `tests/it/pictures.rs` holds pre-processing against, with Pillow and torchvision.

    pip install -r requirements.txt && python generate.py

Each row of cases.json is a source picture, the flags of `reluctor run`, and the picture that these must give.
"""

import json
import math
import random

from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode as Mode

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def pattern(width, height):
    """Waves, edges and noise: what resizing has to keep apart."""
    noise = random.Random(1)
    picture = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            wave = 127 + 90 * math.sin(x * y / 40) + noise.randrange(-30, 31)
            edge = 230 if (x // 7 + y // 5) % 2 else 20
            ramp = 255 * x // width
            picture.putpixel((x, y), tuple(max(0, min(255, int(v))) for v in (wave, edge, ramp)))
    return picture


def letterbox(picture, size, corner, grey):
    ratio = min(size[0] / picture.width, size[1] / picture.height)
    fitted = tuple(max(1, round(side * ratio)) for side in picture.size)
    canvas = Image.new("RGB", size, (grey,) * 3)
    place = (0, 0) if corner else tuple((size[axis] - fitted[axis]) // 2 for axis in (0, 1))
    canvas.paste(picture.resize(fitted, Image.BILINEAR), place)
    return canvas


def cover(picture, size):
    width = min(picture.width, picture.height * size[0] // size[1])
    height = min(picture.height, picture.width * size[1] // size[0])
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height)).resize(size, Image.BILINEAR)


def torch(picture, shorter, crop, mode):
    steps = [transforms.Resize(shorter, interpolation=mode), transforms.CenterCrop(crop)]
    return transforms.Compose(steps)(picture)


def cases(wide, tall):
    for name, filter in FILTERS.items():
        for size in ((20, 13), (100, 90)):
            flags = f"--resize {size[0]}x{size[1]} --filter {name}"
            yield "wide", flags, wide.resize(size, filter)
    for source, picture in (("wide", wide), ("tall", tall)):
        yield source, "--resize 24 --crop 20", torch(picture, 24, 20, Mode.BILINEAR)
        yield source, "--resize 33 --crop 21x30 --filter bicubic", torch(picture, 33, (30, 21), Mode.BICUBIC)
        yield source, "--crop 17x9", transforms.CenterCrop((9, 17))(picture)
        yield source, "--letterbox=corner:114 --shape x:1x3x32x48", letterbox(picture, (48, 32), True, 114)
        yield source, "--letterbox=centre:0 --shape x:1x3x40x24", letterbox(picture, (24, 40), False, 0)
        yield source, "--resize cover --shape x:1x3x15x20", cover(picture, (20, 15))
        yield source, "--resize exact --shape x:1x3x50x11", picture.resize((11, 50), Image.BILINEAR)
    yield "wide", "--channels grey --resize 30x20", wide.convert("L").resize((30, 20), Image.BILINEAR).convert("RGB")


def main():
    wide, tall = pattern(61, 47), pattern(38, 64)
    wide.save("wide.png", optimize=True)
    tall.save("tall.png", optimize=True)
    rows = []
    for number, (source, flags, expected) in enumerate(cases(wide, tall)):
        name = f"expected-{number:02}.png"
        expected.save(name, optimize=True)
        rows.append({"source": f"{source}.png", "flags": flags.split(), "expected": name})
    with open("cases.json", "w") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
