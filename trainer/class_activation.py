"""Class-activation maps as a separate graph; `trainer.export` writes it as saliency.onnx."""

from __future__ import annotations

import numpy as np
import onnx
import torch

from engines.spec import ModelSpec
from trainer.models import Classifier


class Activation(torch.nn.Module):
    """Class-activation maps of a classifier whose head pools globally: faces in 0..255 -> (N, K, h, w).

    A map's mean is the class's logit without its bias (Zhou et al., 2016).
    """

    def __init__(self, model: Classifier, head: torch.nn.Linear) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.of(self.model.network.features(self.model.normalise(faces)))

    def of(self, maps: torch.Tensor) -> torch.Tensor:
        """Class-activation maps from the network's last feature maps."""
        return torch.nn.functional.conv2d(maps, self.head.weight[:, :, None, None])

    def beside_probabilities(self) -> torch.nn.Module:
        """A module with two outputs from one pass: the classifier's probabilities and these maps."""
        return _ProbabilitiesAndMaps(self).eval()


class _ProbabilitiesAndMaps(torch.nn.Module):
    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        model = self.activation.model
        maps = model.network.features(model.normalise(faces))
        return model.to_probabilities(model.network.head(maps)), self.activation.of(maps)


def activation_of(model: Classifier, spec: ModelSpec) -> Activation | None:
    """The class-activation maps of a network; None unless its head is global average pooling and one linear layer."""
    layers = [layer for layer in model.network.modules() if isinstance(layer, torch.nn.Linear)]
    if len(layers) != 1:
        return None
    made = Activation(model, layers[0]).eval()
    random = np.random.default_rng(0).uniform(0, 255, (3, spec.channels, spec.size, spec.size))
    faces = torch.from_numpy(random.astype(np.float32))
    with torch.no_grad():
        maps = model.network.features(model.normalise(faces))
        if maps.shape[1] != layers[0].in_features:
            return None
        pooled = made.of(maps).mean(dim=(2, 3)) + (0 if layers[0].bias is None else layers[0].bias)
        logits = model.network.head(maps)
        alike = pooled.shape == logits.shape and torch.allclose(pooled, logits, rtol=1e-3, atol=1e-3)
    return made if alike else None


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with weights stored as float16 and cast to float32 on loading; it computes in float32."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, casts = made.graph, []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 64 or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    known = [info for info in graph.value_info if info.name not in {cast.output[0] for cast in casts}]
    del graph.value_info[:]
    graph.value_info.extend(known)
    onnx.checker.check_model(made, full_check=True)
    return made
