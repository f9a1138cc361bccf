"""A network that is tried: where it comes from, and how its file is made."""

import dataclasses
import pathlib
import zlib
from collections.abc import Callable

import numpy as np

# Writes the file and returns its inputs by name.
Write = Callable[[pathlib.Path, np.random.Generator], dict[str, np.ndarray]]


@dataclasses.dataclass
class Network:
    name: str
    source: str
    write: Write
    # How far a result may lie from ONNX Runtime's, as a share of the output's largest element; and why it is more than usual.
    tolerance: float = 1e-3
    because: str = ""

    def numbers(self) -> np.random.Generator:
        """Random numbers that are this network's own in every run."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


def image(numbers: np.random.Generator, *shape: int) -> np.ndarray:
    return numbers.standard_normal(shape).astype(np.float32)
