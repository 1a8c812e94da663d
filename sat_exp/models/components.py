"""The 13 components of a network, read off one forward pass: no weights, no form to fill in.

The words of the model files (`conf/model/*.yaml`, `components`), and the rule by which `derive` finds each. Several
values are joined by " + " in alphabetical order; a stem's convolutions by " / " in the order they run.

    component                   values                                      rule
    base_architecture           CNN, Transformer, Hybrid, MLP-Mixer, MLP,   see below
                                NAS-CNN, NAS-Transformer
    hierarchical                true, false                                 blocks see positions that differ twofold
    stem                        7x7 s2, 3x3 s2 / 3x3, ..., none             convolutions before the first block, each on
                                                                            what the last gave; stride 1 not written
    input_resolution            '224', ...                                  the size asked for
    normalization               BN, LN, GN, IN, RMSNorm, SimpleNorm, FRN,   normalisations applied; affine: scale and
                                EvoNorm, affine, none, none (weight         shift without statistics
                                standardisation)
    activation                  ReLU, ReLU6, Leaky ReLU, PReLU, ELU, CELU,  activations applied, those in channel
                                SELU, GELU, SiLU, Mish, Hard-Swish,         attention and the head too; gates do not
                                Hard-Mish, StarReLU, Squared ReLU, Tanh,    count
                                none
    pooling_stem                true, false                                 max or average pooling before any block
    pooling_final               GAP, class token, attention, none           what last makes one vector of all positions
    self_attention_2d           none, BoT, Halo, Lambda                     by class: self-attention inside a CNN
    channel_attention           none, SE, ECA, ESE, GCA, CBAM, SK, split    by class; SE where an unknown module weighs
                                                                            channels by a sigmoid of global averages
    channel_attention_location  none, middle, end                           end: in most blocks nothing learned follows
    depthwise_conv              true, false                                 a convolution of one channel a group
    group_conv                  true, false                                 neither that nor a single group

With self-attention a network is a Transformer, or a Hybrid where learned convolutions wider than 1x1 follow the stem;
without it a CNN where they do, else an MLP-Mixer where linear layers act on tokens, else an MLP without convolutions.

`tracing.blocks` says what a block is. Where there is none, the stem is the first convolution; where the first takes the
pixels, its widest convolution. Convolutions of one tensor side by side are one layer, the widest of them, and a block
of nothing else is a layer of the stem where other blocks follow (networks that are folded after training).

What one forward pass cannot show: that an architecture was found by a search (NAS-CNN comes out as CNN,
NAS-Transformer as Transformer), kinds of attention whose classes carry other names, and code that is scripted. Where
weights are no parameters, nothing tells them from fixed filters: `derive` then refuses.

The files of the paper's 69 models pin the paper's facts in these words, also where a forward pass shows another: two of
them share a value where, and only where, they share one in the authors' table. That table names no kind and no place of
resnest50d's channel attention (here split and none), and gives resnetv2_50d_evos no activation, as EvoNorm includes it.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable

from torch import nn

from sat_exp.models.tracing import Call, Trace, positions, run

COMPONENTS = (
    "base_architecture",
    "hierarchical",
    "stem",
    "input_resolution",
    "normalization",
    "activation",
    "pooling_stem",
    "pooling_final",
    "self_attention_2d",
    "channel_attention",
    "channel_attention_location",
    "depthwise_conv",
    "group_conv",
)
# What the torch functions, and the classes that are not one torch function, are called in the table.
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
ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "Leaky ReLU",
    "prelu": "PReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "celu": "CELU",
    "selu": "SELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hardswish": "Hard-Swish",
    "tanh": "Tanh",
}
ACTIVATION_CLASSES = {
    r"^ReLU6$": "ReLU6",
    r"^QuickGELU": "GELU",
    r"^HardSwish": "Hard-Swish",
    r"^HardMish": "Hard-Mish",
    r"^StarReLU$": "StarReLU",
    r"^SquaredReLU$": "Squared ReLU",
}
LINEAR_ATTENTION = r"^(LiteMLA|EfficientAdditiveAttention)$"  # without the softmax that others are known by
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
    """The 13 components of `network`, any classifier of images [B, channels, size, size], by one forward pass.

    Its weights, buffers and mode stay as they are; on the meta device it costs no arithmetic at all. Raises UserError
    where the network cannot take such an image, where weights are no parameters, or where, being scripted, it shows
    nothing.
    """
    trace = run(network, channels, size)
    convolutions = [index for index, call in enumerate(trace.calls) if call.kernel]
    learned = [trace.calls[index] for index in convolutions]
    if trace.first_block is None:  # a plain chain of layers: the stem is its first convolution
        stem_end = convolutions[1] if len(convolutions) > 1 else len(trace.calls)
    else:
        stem_end = trace.first_block
    stem, body = trace.calls[:stem_end], trace.calls[stem_end:]
    self_attention_2d = trace.of_class(SELF_ATTENTION_2D)
    channel_attention = trace.of_class(CHANNEL_ATTENTION)
    channel_attention |= dict.fromkeys(gates(trace, channel_attention), "SE")
    return {
        "base_architecture": base_architecture(
            body, bool(learned), {*channel_attention, *self_attention_2d}, trace.of_class({LINEAR_ATTENTION: ""})
        ),
        "hierarchical": hierarchical(trace, learned),
        "stem": chain([call for call in stem if call.kernel] or widest_of_the_first(learned)),
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


def base_architecture(body: list[Call], convolutional: bool, special: Collection[str], linear: Collection[str]) -> str:
    """special: modules whose attention is a component of its own; linear: those of linear attention."""
    attention = bool(linear) or any(
        call.name in ATTENTION and len(call.input) > 2 and set(special).isdisjoint(call.owners) for call in body
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


def normalization(trace: Trace) -> str:
    standardised = {name for name in trace.within if "StdConv" in type(trace.modules[name]).__name__}
    applied = {call.name for call in trace.calls if standardised.isdisjoint(call.owners)} & NORMALISATIONS.keys()
    found = {NORMALISATIONS[name] for name in applied} | set(trace.of_class(NORMALISATION_CLASSES).values())
    return joined(found) if found or not standardised else "none (weight standardisation)"


def activation(trace: Trace) -> str:
    known = trace.of_class(ACTIVATION_CLASSES)
    applied = {call.name for call in trace.calls if known.keys().isdisjoint(call.owners)} & ACTIVATIONS.keys()
    found = {ACTIVATIONS[name] for name in applied} | set(known.values())
    return joined(found - {"Tanh"} or found)  # beside another activation, tanh is a gate or part of the head


def pooling_final(trace: Trace, channel_attention: Collection[str]) -> str:
    """Looked for backwards from the last weight layer, then, as where that is a convolution, after it."""
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
    """The innermost modules that weigh an image's channels by a sigmoid of its global average, beyond those `known`."""
    found: list[str] = []
    for name in trace.gating:  # inner modules come before those they lie in
        calls = [trace.calls[index] for index in trace.within[name]]
        averaged = any(call.averages for call in calls)
        narrow = not any(max(call.kernel, default=1) > 1 for call in calls)
        inside = any(other.startswith(f"{name}.") or name.startswith(f"{other}.") for other in [*found, *known])
        if averaged and narrow and any(call.name in GATES for call in calls) and name not in known and not inside:
            found.append(name)
    return found


def location(trace: Trace, channel_attention: Collection[str]) -> str:
    """Where in their blocks most channel attention modules stand: a block is the nearest module with other layers."""
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
    """Kernels and strides of those `convolutions` that take what the last one gave, alone or joined with more; of
    several that are given the same tensor, of the widest."""
    words: list[str] = []
    given = 0
    parallel = [list(calls) for _, calls in itertools.groupby(convolutions, lambda call: call.given)]
    for call in (max(calls, key=lambda call: call.kernel) for calls in parallel):
        if call.input[1] >= given:
            words.append("x".join(map(str, call.kernel)) + (f" s{call.stride}" if call.stride > 1 else ""))
            given = call.output[1]
    return " / ".join(words) or "none"


def widest_of_the_first(convolutions: list[Call]) -> list[Call]:
    """Of the convolutions that take the pixels: the stem of a network that is blocks from the start."""
    return sorted((call for call in convolutions if call.input == convolutions[0].input), key=lambda call: call.kernel)[
        -1:
    ]


def joined(words: Iterable[str]) -> str:
    return " + ".join(sorted(set(words), key=str.lower)) or "none"
