"""The 13 components of a network, derived from one forward pass.

The table says what each component is in the model files (`conf/model/*.yaml`, `components`) and how `derive` finds it.
The constants below list the further values, by function and by class. Several values are joined by " + " in
alphabetical order, the convolutions of a stem by " / " in the order of execution.

    component                   values, rule
    base_architecture           CNN, Transformer, Hybrid, MLP-Mixer, MLP, NAS-CNN, NAS-Transformer; see below
    hierarchical                whether the number of positions in blocks changes at least twofold
    stem                        7x7 s2, 3x3 s2 / 3x3, ..., none: convolutions before the first block; no s for stride 1
    input_resolution            '224', ...: the input size
    normalization               those applied, none, none (weight standardisation); affine: a scale and shift alone
    activation                  those applied, including those in channel attention and the head, without gates; none
    pooling_stem                whether there is max or average pooling before any block
    pooling_final               GAP, class token, attention, none: the last step from all positions to one vector
    self_attention_2d           self-attention inside a CNN, by class; none
    channel_attention           by class; SE for an unknown module that weights channels by a sigmoid of global averages
    channel_attention_location  middle, end, none; end: in most blocks no learned layer follows
    depthwise_conv              whether any convolution has one channel per group
    group_conv                  whether any other convolution has several groups

A network with self-attention is a Transformer, or a Hybrid if learned convolutions wider than 1x1 follow the stem.
Without self-attention it is a CNN if they do; else an MLP-Mixer if linear layers act on tokens; else a CNN if it has
any convolution; else an MLP.

`tracing.blocks` defines blocks. In a network without blocks the stem is the first convolution. In a network whose first
block takes the pixels, it is the widest convolution of the pixels. Parallel convolutions of one tensor are one layer,
described by the widest. A block of nothing else is a layer of the stem if other blocks follow.

One forward pass shows neither a search for the architecture (NAS-CNN is derived as CNN, NAS-Transformer as Transformer)
nor attention in classes with unknown names. Weights that are no parameters look like fixed filters, and scripted code
is hidden: `derive` then raises UserError.

The files of the paper's 69 models state what the paper states, even where a forward pass shows something else. Two
files share a value if and only if the models share one in the authors' table. That table has no kind and no location of
resnest50d's channel attention (here split and none), and no activation of resnetv2_50d_evos: EvoNorm includes it.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from torch import nn

from sat_exp.models.tracing import Call, Trace, positions, run
from sat_exp.settings.configuration import Components

COMPONENTS = tuple(Components.__annotations__)
# Values of the table by torch function, and by pattern of the class name.
NORMALISATIONS = {
    "batch_norm": "BN",
    "layer_norm": "LN",
    "group_norm": "GN",
    "instance_norm": "IN",
    "rms_norm": "RMSNorm",
}
NORMALISATION_CLASSES = {
    r"BatchNorm": "BN",
    r"LayerNorm": "LN",
    r"GroupNorm": "GN",
    r"(?i)RMSNorm": "RMSNorm",
    r"EvoNorm": "EvoNorm",
    r"^SimpleNorm": "SimpleNorm",
    r"^FilterResponseNorm": "FRN",
    r"^Affine$": "affine",
}
SPELT_ALIKE = ("ReLU", "ReLU6", "PReLU", "ELU", "GELU", "CELU", "SELU", "SiLU", "Mish", "Tanh")
ACTIVATIONS = {word.lower(): word for word in SPELT_ALIKE} | {"leaky_relu": "Leaky ReLU", "hardswish": "Hard-Swish"}
ACTIVATION_CLASSES = {
    r"^ReLU6$": "ReLU6",
    r"^QuickGELU": "GELU",
    r"^HardSwish": "Hard-Swish",
    r"^HardMish": "Hard-Mish",
    r"^StarReLU$": "StarReLU",
    r"^SquaredReLU$": "Squared ReLU",
}
LINEAR_ATTENTION = r"^(LiteMLA|EfficientAdditiveAttention)$"  # attention without softmax
SELF_ATTENTION_2D = {r"^(BottleneckAttn|MHSA2d)": "BoT", r"^HaloAttn": "Halo", r"^LambdaLayer": "Lambda"}
CHANNEL_ATTENTION = {
    r"^(SE(Module|Layer|Block)|Squeeze(And)?Excit\w*)$": "SE",
    r"^(C?[Ee]ca(Module|Layer)|ECA\w*)$": "ECA",
    r"^(EffectiveSE|ESE|Ese)\w*$": "ESE",
    r"^GlobalContext$": "GCA",
    r"^(Light)?C[Bb][Aa][Mm]\w*$": "CBAM",
    r"^SelectiveKernel$": "SK",
    r"^SplitAttn": "split",
}
ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward", "softmax"}
POOLINGS = {"max_pool2d", "avg_pool2d"}
GATES = {"sigmoid", "hardsigmoid"}


def derive(network: nn.Module, channels: int, size: int) -> dict[str, str | bool]:
    """The 13 components of `network`, a classifier of images [B, channels, size, size], which is not changed.

    UserError where it cannot take such an image, has weights that are no parameters, or is scripted.
    """
    trace = run(network, channels, size)
    convolutions = [index for index, call in enumerate(trace.calls) if call.kernel]
    learned = [trace.calls[index] for index in convolutions]
    stem_end = trace.first_block
    if stem_end is None:  # no blocks: the stem is the first convolution
        stem_end = convolutions[1] if len(convolutions) > 1 else len(trace.calls)
    stem, body = trace.calls[:stem_end], trace.calls[stem_end:]
    of_pixels = sorted((call for call in learned if call.input == learned[0].input), key=lambda call: call.kernel)
    self_attention_2d = trace.of_class(SELF_ATTENTION_2D)
    channel_attention = trace.of_class(CHANNEL_ATTENTION)
    channel_attention |= dict.fromkeys(gates(trace, channel_attention), "SE")
    special, linear = {*channel_attention, *self_attention_2d}, trace.of_class({LINEAR_ATTENTION: ""})
    return {
        "base_architecture": base_architecture(body, bool(learned), special, bool(linear)),
        "hierarchical": hierarchical(trace, learned),
        "stem": chain([call for call in stem if call.kernel] or of_pixels[-1:]),
        "input_resolution": str(size),
        "normalization": normalization(trace),
        "activation": activation(trace),
        "pooling_stem": any(call.name in POOLINGS for call in stem),
        "pooling_final": pooling_final(trace, channel_attention),
        "self_attention_2d": joined(self_attention_2d.values()),
        "channel_attention": joined(channel_attention.values()),
        "channel_attention_location": location(trace, channel_attention),
        "depthwise_conv": any(1 < call.groups == call.input[1] for call in learned),
        "group_conv": any(1 < call.groups < call.input[1] for call in learned),
    }


def base_architecture(body: list[Call], convolutional: bool, special: set[str], linear: bool) -> str:
    """The base architecture. body: calls after the stem. special: modules whose attention is a component of its own.
    linear: whether there is attention without softmax."""
    attention = linear or any(
        call.name in ATTENTION and len(call.input) > 2 and special.isdisjoint(call.owners) for call in body
    )
    wide = any(max(call.kernel, default=1) > 1 for call in body)
    mixing = any(call.name == "linear" and len(call.input) > 2 for call in body)
    if attention:
        return "Hybrid" if wide else "Transformer"
    if mixing and not wide:
        return "MLP-Mixer"
    return "CNN" if convolutional else "MLP"


def hierarchical(trace: Trace, convolutions: list[Call]) -> bool:
    counts = trace.positions or [positions(call.output) for call in convolutions]
    counts = [count for count in counts if count > 1]
    return bool(counts) and max(counts) >= 2 * min(counts)


def applied(
    trace: Trace, functions: Mapping[str, str], classes: Mapping[str, str], hidden: Collection[str]
) -> set[str]:
    """The values of `functions` that were called outside the modules `hidden`, and those of `classes`."""
    called = {call.name for call in trace.calls if set(hidden).isdisjoint(call.owners)}
    return {functions[name] for name in called & functions.keys()} | set(classes.values())


def normalization(trace: Trace) -> str:
    standardised = [name for name in trace.within if "StdConv" in type(trace.modules[name]).__name__]
    found = applied(trace, NORMALISATIONS, trace.of_class(NORMALISATION_CLASSES), standardised)
    return joined(found) if found or not standardised else "none (weight standardisation)"


def activation(trace: Trace) -> str:
    known = trace.of_class(ACTIVATION_CLASSES)
    found = applied(trace, ACTIVATIONS, known, known)
    return joined(found - {"Tanh"} or found)  # next to another activation, tanh is a gate or part of the head


def pooling_final(trace: Trace, channel_attention: Collection[str]) -> str:
    """The final pooling, searched backwards from the last weight layer, then after it (if that is a convolution)."""
    calls = [call for call in trace.calls if set(channel_attention).isdisjoint(call.owners)]
    last = max((index for index, call in enumerate(calls) if call.weighs), default=0)
    for call in [*reversed(calls[:last]), *calls[last:]]:
        if any("AttentionPool" in type(trace.modules[owner]).__name__ for owner in call.owners):
            return "attention"
        if call.averages:
            return "GAP"
        if call.name in {"getitem", "select"} and len(call.input) == 3 and call.output == call.input[::2]:
            return "class token"
    return "none"


def gates(trace: Trace, known: Collection[str]) -> list[str]:
    """The innermost modules that weight channels by a sigmoid of global averages, without those in `known`."""
    found: list[str] = []
    for name in trace.gating:  # inner modules come first
        calls = [trace.calls[index] for index in trace.within[name]]
        averaged = any(call.averages for call in calls)
        narrow = not any(max(call.kernel, default=1) > 1 for call in calls)
        inside = any(other.startswith(f"{name}.") or name.startswith(f"{other}.") for other in [*found, *known])
        if averaged and narrow and any(call.name in GATES for call in calls) and name not in known and not inside:
            found.append(name)
    return found


def location(trace: Trace, channel_attention: Collection[str]) -> str:
    """The position of most channel attention modules in their block, the nearest module with other layers."""
    places: Counter[str] = Counter()
    for name in channel_attention:
        own = trace.within[name]
        owners = trace.calls[own[0]].owners if own else (name,)
        for owner in reversed(owners[: owners.index(name)]):
            others = [index for index in trace.within[owner] if index not in own and trace.calls[index].weighs]
            if others:
                places["middle" if max(others) > max(own) else "end"] += 1
                break
    return max(places, key=lambda place: places[place], default="none")


def chain(convolutions: list[Call]) -> str:
    """Kernels and strides of consecutive convolutions, each of which takes at least the channels of the last; the
    widest of several with the same input."""
    words: list[str] = []
    channels = 0
    parallel = [list(calls) for _, calls in itertools.groupby(convolutions, lambda call: call.source)]
    for call in (max(calls, key=lambda call: call.kernel) for calls in parallel):
        if call.input[1] >= channels:
            words.append("x".join(map(str, call.kernel)) + (f" s{call.stride}" if call.stride > 1 else ""))
            channels = call.output[1]
    return " / ".join(words) or "none"


def joined(words: Iterable[str]) -> str:
    return " + ".join(sorted(set(words), key=str.lower)) or "none"
