"""Write the graphs of a network as ONNX files."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import torch

from mmps.atomic_files import open_atomically
from mmps.inference.network import Network
from mmps.inference.onnx_file import sealed
from mmps.inference.onnx_metadata import KEY, Metadata

from .describe import metadata_of
from .graphs import Part, parts_of
from .single import single_part
from .suppression import TRANSLATIONS

#: Version of the operators.
OPSET = 18


def export_network(
    network: Network,
    folder: Path,
    layout: str = 'split',
    note: Callable[[str], object] = lambda text: None,
) -> list[Path]:
    """Export a network in float32.

    Args:
        network: On the CPU.
        folder: Where the files go; made if it does not exist.
        layout: 'split': scene.onnx, people.onnx and, for two heads,
            reid.onnx; 'single': single.onnx.
        note: Called with a line on each file.

    Returns:
        Paths of the files.

    Raises:
        InputError: The network cannot be exported; says why.
    """
    metadata = metadata_of(network, layout)
    files = []
    if layout == 'single':
        parts = {'single': single_part(network.model, metadata)}
    else:
        parts = parts_of(network.model)
    for name, part in parts.items():
        path = folder / f'{name}.onnx'
        save(graph_of(part), replace(metadata, part=name), path)
        note(f'wrote {path} ({path.stat().st_size / 1e6:.1f} MB)')
        files.append(path)
    return files


def graph_of(part: Part) -> onnx.ModelProto:
    """Export a part; nothing in it names files of this computer."""
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            part.module,
            tuple(part.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=part.shapes,
            custom_translation_table=TRANSLATIONS,
            external_data=False,
            verbose=False,
            optimize=True,
        )
    model = program.model_proto
    graph = model.graph
    # where in the code a node was made: paths, and as many bytes as weights
    for holder in (
        *(graph, model),
        *(*graph.node, *graph.input, *graph.output),
        *(*graph.value_info, *graph.initializer, *model.functions),
        *(node for function in model.functions for node in function.node),
    ):
        del holder.metadata_props[:]
        holder.ClearField('doc_string')
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of its own parts, and of its progress."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def save(model: onnx.ModelProto, metadata: Metadata, path: Path) -> None:
    """Write a graph with its metadata and a seal, whole or not at all."""
    del model.metadata_props[:]
    model.metadata_props.add(key=KEY, value=metadata.to_json(sealed=True))
    onnx.checker.check_model(model)
    with open_atomically(path) as file:
        file.write(sealed(model.SerializeToString()))
