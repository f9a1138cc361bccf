"""Conv and ConvTranspose: every attribute, odd shapes, few and many channels."""

import itertools

from case import Case, filters, generator, grid, image

# Around the widths at which kernels change tiles.
CHANNELS = [*range(1, 10), 15, 16, 17, 31, 32, 33]
SAME_OR_VALID = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]


def joined(values):
    return "x".join(str(value) for value in values)


def conv(name, size=(7, 13), batch=1, channels=(2, 3), kernel=(3, 3), bias=True, opset=22, state_kernel=True, **attributes):
    name = f"Conv/{name}"
    rng = generator(name)
    in_c, out_c = channels
    constants = {"w": filters(rng, (out_c, in_c // attributes.get("group", 1), *kernel))}
    if bias:
        constants["b"] = grid(rng, (out_c,), 8)
    if state_kernel:
        attributes["kernel_shape"] = kernel
    return Case(name, {"x": image(rng, (batch, in_c, *size))}, constants, attributes, opset)


def conv_transpose(name, size=(4, 5), batch=1, channels=(2, 3), kernel=(3, 3), bias=True, opset=22, **attributes):
    name = f"ConvTranspose/{name}"
    rng = generator(name)
    in_c, out_c = channels
    constants = {"w": filters(rng, (in_c, out_c // attributes.get("group", 1), *kernel))}
    if bias:
        constants["b"] = grid(rng, (out_c,), 8)
    return Case(name, {"x": image(rng, (batch, in_c, *size))}, constants, attributes, opset)


def conv_cases():
    for kernel in itertools.product(range(1, 6), repeat=2):
        yield conv(f"kernel_{joined(kernel)}", kernel=kernel, bias=sum(kernel) % 2 == 0)
    for strides in [(1, 2), (2, 1), (2, 2), (3, 2), (4, 4), (5, 3), (7, 13)]:
        yield conv(f"strides_{joined(strides)}", strides=strides)
        yield conv(f"pointwise_strides_{joined(strides)}", kernel=(1, 1), strides=strides, bias=False)
    for dilations in [(1, 2), (2, 1), (2, 2), (3, 2), (2, 5)]:
        yield conv(f"dilations_{joined(dilations)}", dilations=dilations)
        yield conv(f"dilations_{joined(dilations)}_kernel_2x3_padded", kernel=(2, 3), dilations=dilations, pads=[2, 1, 0, 3])
    for pads in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (2, 1, 0, 3), (1, 1, 1, 1), (4, 5, 6, 7)]:
        yield conv(f"pads_{joined(pads)}", pads=pads)
        yield conv(f"pads_{joined(pads)}_strides_2x3_kernel_4x2", kernel=(4, 2), strides=[2, 3], pads=pads, bias=False)
    for auto_pad, kernel, strides in itertools.product(SAME_OR_VALID, [(3, 3), (2, 4), (5, 1)], [(1, 1), (2, 2), (2, 3)]):
        name = f"auto_pad_{auto_pad}_kernel_{joined(kernel)}_strides_{joined(strides)}"
        yield conv(name, size=(6, 11), kernel=kernel, strides=strides, auto_pad=auto_pad)
    for auto_pad, dilations in itertools.product(SAME_OR_VALID, [(2, 2), (1, 3)]):
        yield conv(f"auto_pad_{auto_pad}_dilations_{joined(dilations)}", dilations=dilations, auto_pad=auto_pad)
    groups = [
        (2, 2, 2), (4, 4, 4), (4, 8, 4), (4, 8, 2), (6, 3, 3), (6, 9, 3), (8, 8, 2), (8, 4, 4), (3, 9, 3), (5, 15, 5),
        (15, 15, 15), (16, 16, 16), (17, 17, 17), (16, 32, 4), (32, 16, 2), (33, 33, 3), (31, 31, 31),
    ]  # fmt: skip
    for in_c, out_c, group in groups:
        name = f"group_{group}_channels_{in_c}_to_{out_c}"
        yield conv(name, size=(5, 4), channels=(in_c, out_c), group=group, pads=[1, 1, 1, 1], bias=out_c % 2 == 0)
    for group, kernel in itertools.product([1, 4], [(1, 1), (5, 5)]):
        yield conv(f"group_{group}_kernel_{joined(kernel)}_batch_3", batch=3, channels=(4, 8), kernel=kernel, group=group)
    for channels in CHANNELS:
        yield conv(f"channels_3_to_{channels}", size=(5, 6), channels=(3, channels), strides=[2, 1])
        yield conv(f"channels_{channels}_to_5_padded", size=(4, 3), channels=(channels, 5), bias=False, pads=[0, 1, 0, 1])
    for channels in [(9, 7), (16, 17), (33, 31)]:
        yield conv(f"pointwise_channels_{joined(channels)}", size=(3, 5), channels=channels, kernel=(1, 1))
    for batch, bias in itertools.product([2, 3], [False, True]):
        yield conv(f"batch_{batch}_{'with' if bias else 'without'}_bias", batch=batch, bias=bias, channels=(3, 6), pads=[1, 0, 0, 1])
    sizes = {(1, 1): (1, 1), (29, 1): (3, 1), (29, 2): (5, 2), (1, 37): (1, 3), (2, 41): (2, 5), (4, 5): (4, 5)}
    for size, kernel in sizes.items():
        yield conv(f"size_{joined(size)}_kernel_{joined(kernel)}", size=size, kernel=kernel)
        yield conv(f"size_{joined(size)}_kernel_3x3_padded", size=size, pads=[1, 1, 1, 1], strides=[1, 2], bias=False)
    for opset in [1, 11]:
        yield conv(f"opset_{opset}_without_kernel_shape", opset=opset, state_kernel=False, pads=[1, 2, 1, 0])
    yield from conv_combinations()
    yield from conv_lines_and_volumes()


def conv_combinations():
    """Attributes together, as chance has it."""
    rng = generator("conv_combinations")
    for index in range(24):
        group = int(rng.integers(1, 4))
        channels = tuple(int(group * n) for n in rng.integers(1, 4, size=2))
        kernel = tuple(int(k) for k in rng.integers(1, 5, size=2))
        dilations = [int(d) for d in rng.integers(1, 3, size=2)]
        pads = [int(rng.integers(0, k + 1)) for k in (*kernel, *kernel)]
        size = tuple(int(rng.integers((k - 1) * d + 1, 12)) for k, d in zip(kernel, dilations))
        strides = [int(s) for s in rng.integers(1, 4, size=2)]
        batch, bias = int(rng.integers(1, 4)), bool(rng.integers(2))
        yield conv(
            f"combination_{index}", size, batch, channels, kernel, bias, group=group, dilations=dilations, pads=pads, strides=strides
        )


def conv_lines_and_volumes():
    line = lambda name, kernel, **given: conv(f"line_{name}", **{"size": (17,), "kernel": (kernel,), **given})
    for kernel in range(1, 6):
        yield line(f"kernel_{kernel}", kernel, bias=kernel % 2 == 0)
    yield line("strides_3", 4, strides=[3])
    yield line("dilations_4", 3, dilations=[4])
    yield line("pads_2_1", 3, pads=[2, 1], batch=3)
    yield line("group_4", 3, channels=(4, 8), group=4)
    yield line("channels_17_to_33", 2, channels=(17, 33), size=(5,))
    for auto_pad in SAME_OR_VALID:
        yield line(f"auto_pad_{auto_pad}", 4, strides=[2], auto_pad=auto_pad)
    yield conv("volume", size=(3, 4, 5), kernel=(2, 3, 2), strides=[1, 1, 2])
    yield conv("volume_group_2_padded", size=(3, 4, 5), channels=(2, 4), kernel=(3, 3, 3), group=2, pads=[1] * 6)


def conv_transpose_cases():
    for kernel in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (1, 3), (3, 1), (2, 5), (4, 3)]:
        yield conv_transpose(f"kernel_{joined(kernel)}", kernel=kernel, bias=sum(kernel) % 2 == 0)
    for strides in [(1, 2), (2, 1), (2, 2), (3, 2), (4, 4)]:
        yield conv_transpose(f"strides_{joined(strides)}", strides=strides)
        yield conv_transpose(f"strides_{joined(strides)}_kernel_2x2", kernel=(2, 2), strides=strides, bias=False)
    for pads in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 2, 0, 1), (1, 1, 1, 1)]:
        yield conv_transpose(f"pads_{joined(pads)}", pads=pads)
        yield conv_transpose(f"pads_{joined(pads)}_strides_2x2", pads=pads, strides=[2, 2])
    for strides, output_padding in [((2, 2), (1, 1)), ((2, 2), (0, 1)), ((3, 3), (2, 1)), ((4, 2), (3, 0))]:
        name = f"output_padding_{joined(output_padding)}_strides_{joined(strides)}"
        yield conv_transpose(name, strides=strides, output_padding=output_padding)
        yield conv_transpose(f"{name}_padded", strides=strides, output_padding=output_padding, pads=[1, 0, 1, 1])
    for auto_pad, output_shape in itertools.product(["NOTSET", "SAME_UPPER", "SAME_LOWER"], [(8, 10), (9, 11), (7, 9), (10, 10), (10, 12)]):
        name = f"output_shape_{joined(output_shape)}_auto_pad_{auto_pad}"
        yield conv_transpose(name, strides=[2, 2], kernel=(4, 3), output_shape=output_shape, auto_pad=auto_pad)
    for auto_pad, (kernel, strides) in itertools.product(SAME_OR_VALID, [((3, 3), (2, 2)), ((4, 2), (1, 1)), ((3, 5), (3, 2))]):
        name = f"auto_pad_{auto_pad}_kernel_{joined(kernel)}_strides_{joined(strides)}"
        yield conv_transpose(name, kernel=kernel, strides=strides, auto_pad=auto_pad)
    for dilations in [(1, 2), (2, 1), (2, 2), (3, 2)]:
        yield conv_transpose(f"dilations_{joined(dilations)}", dilations=dilations)
        yield conv_transpose(f"dilations_{joined(dilations)}_strides_2x3", dilations=dilations, strides=[2, 3], pads=[1, 1, 0, 2])
    for in_c, out_c, group in [(2, 2, 2), (4, 8, 4), (4, 8, 2), (6, 3, 3), (9, 9, 9), (16, 16, 16), (16, 32, 2)]:
        name = f"group_{group}_channels_{in_c}_to_{out_c}"
        yield conv_transpose(name, size=(3, 2), channels=(in_c, out_c), group=group, strides=[2, 2], bias=out_c % 2 == 0)
    for channels in [(1, 1), (1, 5), (7, 1), (8, 9), (17, 15), (33, 4), (3, 31)]:
        yield conv_transpose(f"channels_{joined(channels)}", size=(2, 3), channels=channels, kernel=(2, 3))
    yield conv_transpose("batch_3", batch=3, strides=[2, 1], pads=[1, 1, 1, 1])
    yield conv_transpose("batch_3_group_2", batch=3, channels=(4, 6), group=2, strides=[1, 2])
    for size in [(1, 1), (17, 1), (1, 19), (7, 13)]:
        yield conv_transpose(f"size_{joined(size)}", size=size, strides=[2, 2], bias=False)
    yield conv_transpose("opset_1", opset=1, strides=[2, 2])
    line = {"size": (9,), "kernel": (3,)}
    yield conv_transpose("line", **line)
    yield conv_transpose("line_strides_2_pads_1_0_output_padding_1", **line, strides=[2], pads=[1, 0], output_padding=[1])
    yield conv_transpose("line_dilations_3_group_2", **line, channels=(2, 4), dilations=[3], group=2)
    yield conv_transpose("line_output_shape_20", **line, strides=[2], output_shape=[20])
    yield conv_transpose("volume", size=(2, 3, 2), kernel=(2, 2, 2), strides=[2, 1, 1])
