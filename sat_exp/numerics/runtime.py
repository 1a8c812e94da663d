"""Evaluation by ONNX Runtime on the CPU, on a graph that torch exports."""

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sat_exp.errors import UserError
from sat_exp.models.classifier import Classifier

MODULES = ("onnx", "onnxruntime", "onnxscript")
_graphs: "WeakKeyDictionary[nn.Module, bytes]" = WeakKeyDictionary()


def installed() -> bool:
    """Whether the extra `onnx` is installed."""
    return all(find_spec(name) for name in MODULES)


class Runtime(nn.Module):
    """A network as a session of ONNX Runtime, without gradients. graph: a serialised ONNX model of one input, float32
    [B, C, H, W], and one output, [B, classes]. It uses as many threads as torch has when it is made."""

    def __init__(self, graph: bytes) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        ends = [self.session.get_inputs(), self.session.get_outputs()]
        if [len(end) for end in ends] != [1, 1] or isinstance(ends[0][0].shape[0], int):
            found = ", ".join(f"{end.name} {end.shape}" for some in ends for end in some)
            raise UserError(f"the exported graph has not one input and one output of any batch size, but {found}")
        self.input = ends[0][0].name

    def forward(self, images: Tensor) -> Tensor:
        """Float32 images [B, C, H, W] on the CPU → logits [B, classes]."""
        if torch.is_grad_enabled() and images.requires_grad:
            raise UserError("ONNX Runtime computes no gradients: use it for evaluation only")
        (logits,) = self.session.run(None, {self.input: images.detach().contiguous().numpy()})
        return torch.from_numpy(logits)


def runtime(classifier: Classifier) -> Runtime:
    """The network of a classifier in ONNX Runtime. Its graph is kept in memory as long as the network is."""
    network = classifier.network
    if network not in _graphs:
        _graphs[network] = exported(network, classifier.mean.shape[1], classifier.size)
    return Runtime(_graphs[network])


def exported(network: nn.Module, channels: int, size: int) -> bytes:
    """The ONNX graph of a network, for images float32 [B, channels, size, size] of any batch size B.

    The exporter of TorchScript is not used: it leaves inputs out of the graph of a ConvNeXt.
    """
    images = torch.zeros(2, channels, size, size)
    dynamic: Any = ({0: torch.export.Dim.DYNAMIC},)
    with quiet():
        program = torch.onnx.export(network, (images,), dynamo=True, dynamic_shapes=dynamic, verbose=False)
    if program is None:
        raise UserError("torch exports no ONNX graph of the network")
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def quiet() -> Any:
    """Nothing that the exporter says is shown; its errors are raised."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
