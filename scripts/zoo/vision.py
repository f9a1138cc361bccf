"""torchvision's architectures, exported in the ways that people do."""

import torchvision.models as models
from export import network
from network import Network

# name, opset, image size; through the exporter that most files out there come from.
SCRIPTED = [
    ("alexnet", 9, 224),
    ("vgg11_bn", 11, 224),
    ("resnet50", 13, 224),
    ("resnext50_32x4d", 12, 224),
    ("wide_resnet50_2", 14, 224),
    ("densenet121", 11, 224),
    ("googlenet", 13, 224),
    ("inception_v3", 13, 299),
    ("mobilenet_v2", 10, 224),
    ("mobilenet_v3_small", 14, 224),
    ("mobilenet_v3_large", 11, 224),
    ("mnasnet1_0", 11, 224),
    ("shufflenet_v2_x1_0", 12, 224),
    ("squeezenet1_1", 7, 224),
    ("efficientnet_b0", 13, 224),
    ("efficientnet_v2_s", 17, 224),
    ("regnet_y_400mf", 15, 224),
    ("regnet_x_400mf", 16, 224),
    ("convnext_tiny", 17, 224),
    ("vit_b_16", 17, 224),
    ("swin_t", 17, 224),
    ("swin_v2_t", 17, 256),
    ("maxvit_t", 17, 224),
    ("segmentation.fcn_resnet50", 13, 224),
    ("segmentation.deeplabv3_resnet50", 12, 224),
    ("segmentation.deeplabv3_mobilenet_v3_large", 16, 224),
    ("segmentation.lraspp_mobilenet_v3_large", 13, 224),
    ("detection.ssdlite320_mobilenet_v3_large", 13, 320),
    ("detection.retinanet_resnet50_fpn", 13, 224),
    ("detection.fasterrcnn_mobilenet_v3_large_320_fpn", 13, 224),
]
# The same through the exporter that is the default since PyTorch 2.9.
EXPORTED = [
    ("resnet18", 18, 224),
    ("densenet121", 20, 224),
    ("mobilenet_v3_large", 21, 224),
    ("shufflenet_v2_x1_0", 22, 224),
    ("efficientnet_b0", 23, 224),
    ("convnext_tiny", 20, 224),
    ("inception_v3", 18, 299),
    ("regnet_y_400mf", 23, 224),
    ("vit_b_16", 20, 224),
    ("swin_t", 20, 224),
    ("segmentation.deeplabv3_mobilenet_v3_large", 20, 224),
    ("segmentation.lraspp_mobilenet_v3_large", 18, 224),
]
OPEN = {0: "batch", 2: "height", 3: "width"}
WITH_OPEN_SIZES = [
    ("resnet18", 13, False),
    ("mobilenet_v3_small", 12, False),
    ("squeezenet1_1", 11, False),
    ("segmentation.fcn_resnet50", 12, False),
    ("segmentation.lraspp_mobilenet_v3_large", 14, False),
    ("resnet18", 20, True),
    ("segmentation.lraspp_mobilenet_v3_large", 20, True),
]


def maker(path: str):
    def make():
        options = {"weights": None}
        if path.startswith(("segmentation", "detection")):
            options["weights_backbone"] = None
        if path in ("googlenet", "inception_v3"):
            options |= {"init_weights": False, "aux_logits": False}
        module = models
        for step in path.split("."):
            module = getattr(module, step)
        return module(**options)

    return make


def networks() -> list[Network]:
    def fixed(path: str, opset: int, size: int, dynamo: bool) -> Network:
        name = path.split(".")[-1] + ("_dynamo" if dynamo else "")
        return network(name, "torchvision", maker(path), (1, 3, size, size), opset, dynamo=dynamo)

    def open_sizes(path: str, opset: int, dynamo: bool) -> Network:
        name = path.split(".")[-1] + "_open" + ("_dynamo" if dynamo else "")
        shapes = {"shape": (2, 3, 224, 224), "run_shape": (3, 3, 160, 192)}
        return network(name, "torchvision", maker(path), opset=opset, dynamo=dynamo, open_axes=OPEN, **shapes)

    scripted = [fixed(*row, dynamo=False) for row in SCRIPTED]
    exported = [fixed(*row, dynamo=True) for row in EXPORTED]
    return scripted + exported + [open_sizes(*row) for row in WITH_OPEN_SIZES]
