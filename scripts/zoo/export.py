"""PyTorch modules with random weights, through either of PyTorch's exporters."""

import contextlib
import io
import logging
import pathlib
import warnings

import numpy as np
import torch
from network import Network, image

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
# Its fused form is no operator of ONNX.
torch.backends.mha.set_fastpath_enabled(False)


def randomize(module: torch.nn.Module, numbers: np.random.Generator) -> torch.nn.Module:
    """Replaces what training would have changed from zeros, ones or a tiny constant: it would hide the layer it is in."""

    def draw(tensor: torch.Tensor, drawn: np.ndarray) -> None:
        tensor.copy_(torch.from_numpy(np.asarray(drawn)).to(tensor.dtype))

    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            shape = tuple(tensor.shape)
            if name.endswith("running_mean"):
                draw(tensor, numbers.normal(0, 0.1, shape))
            elif name.endswith(("running_var", "layer_scale")):
                draw(tensor, numbers.uniform(0.5, 1.5, shape))
            elif (
                isinstance(tensor, torch.nn.Parameter)
                and tensor.numel() > 1
                and bool((tensor == tensor.flatten()[0]).all())
            ):
                rows = numbers.normal(0, 1 / np.sqrt(shape[-1]), shape)
                vector = numbers.uniform(0.5, 1.5, shape) if tensor.any() else numbers.normal(0, 0.05, shape)
                draw(tensor, rows if len(shape) > 1 and shape[-1] > 1 else vector)
    return module.eval()


class Flat(torch.nn.Module):
    """A network whose results come in a dict, a list or a named tuple, which the exporters cannot name."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *images):
        return torch.utils._pytree.tree_leaves(self.module(*images))


def write(
    make,
    path: pathlib.Path,
    numbers: np.random.Generator,
    shape: tuple[int, ...],
    opset: int,
    dynamo: bool = False,
    open_axes: dict[int, str] | None = None,
    run_shape: tuple[int, ...] | None = None,
) -> dict[str, np.ndarray]:
    torch.manual_seed(int(numbers.integers(1 << 31)))
    module = Flat(randomize(make().eval(), numbers)).eval()
    example = torch.from_numpy(image(numbers, *shape))
    how = {"input_names": ["image"], "opset_version": opset, "dynamo": dynamo}
    if dynamo:
        axes = {axis: torch.export.Dim.DYNAMIC for axis in open_axes or {}}
        how |= {"dynamic_shapes": ((axes,),) if axes else None, "external_data": False}
    elif open_axes:
        how |= {"dynamic_axes": {"image": open_axes}}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        torch.onnx.export(module, (example,), str(path), **how)
    return {"image": image(numbers, *(run_shape or shape))}


def network(name: str, source: str, make, shape, opset: int, **options) -> Network:
    exporter = "torch.export" if options.get("dynamo") else "TorchScript"
    how = f"{source}, {exporter}" + (", open sizes" if options.get("open_axes") else "")
    return Network(name, how, lambda path, numbers: write(make, path, numbers, shape, opset, **options))
