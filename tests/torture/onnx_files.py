"""Damaged files of exported networks."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmps.errors import InputError
from mmps.inference.onnx_file import sealed
from mmps.inference.onnx_metadata import KEY, Metadata
from mmps.inference.onnx_network import OnnxNetwork
from tests.inference.onnx_examples import metadata

from .damage import Subject, look_at_all
from .trial import Trial


def attack(trial: Trial) -> str:
    """Read damaged files of each kind, in turn."""
    subjects = _subjects(trial.folder)
    tally = look_at_all(trial, subjects, InputError)
    unsealed = [kind for kind, each in subjects.items() if not each.checked]
    if trial.done >= 500:
        with trial.attempt(trial.done):
            assert all(tally.refused[kind] > 100 for kind in subjects)
            # more often than not nothing else would notice
            assert tally.unnoticed > 10
    looked = trial.done * len(unsealed) // len(subjects)
    return (
        f'{tally}; of about {looked:,} without a seal (files of other '
        f'programs) {tally.unnoticed:,} gave other numbers unnoticed'
    )


def _subjects(folder: Path) -> dict[str, Subject]:
    found = {}
    for is_sealed in (True, False):
        place = folder / ('sealed' if is_sealed else 'unsealed')
        place.mkdir()
        write_network(place, is_sealed)
        for name in ('scene', 'people', 'single'):
            kind = f'{name}.onnx' + ('' if is_sealed else ' without a seal')
            path = place / f'{name}.onnx'
            found[kind] = Subject(
                path,
                path.read_bytes(),
                partial(_read, whole=path.read_bytes()),
                checked=is_sealed,
            )
    return found


def _read(path: Path, whole: bytes) -> object:
    """Metadata and graphs; the file is as it was again afterwards."""
    first = path if path.stem == 'single' else path.with_name('scene.onnx')
    try:
        about = OnnxNetwork(first, 'cpu').metadata
        graph = onnx.load_from_string(path.read_bytes()).graph
    finally:
        path.write_bytes(whole)
    return about, graph.SerializeToString(deterministic=True)


def write_network(folder: Path, is_sealed: bool = True) -> None:
    """Graphs of the right inputs and outputs, in both layouts."""
    embedded = ['logits', 'deltas', 'embeddings']
    write_graph(
        folder / 'scene.onnx',
        _graph(['image'], ['c4', 'rpn_logits', 'rpn_deltas'], 4),
        metadata(),
        is_sealed,
    )
    write_graph(
        folder / 'people.onnx',
        _graph(['c4', 'rois'], embedded, 2),
        metadata(part='people'),
        is_sealed,
    )
    write_graph(
        folder / 'single.onnx',
        _graph(['image'], ['bboxes', 'scores', 'embeddings'], 4),
        metadata(layout='single', part='single'),
        is_sealed,
    )


def _graph(inputs: list, outputs: list, dims: int) -> onnx.GraphProto:
    """Each output is the last input times a weight."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            rng.normal(size=(4, 4)).astype(np.float32), f'weight_{name}'
        )
        for name in outputs
    ]
    free = [None] * (dims - 1)

    def value(name: str) -> onnx.ValueInfoProto:
        shape = [*free, 4] if name in (*outputs, inputs[-1]) else [None] * 4
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node('MatMul', [inputs[-1], f'weight_{name}'], [name])
        for name in outputs
    ]
    return helper.make_graph(
        nodes,
        'g',
        list(map(value, inputs)),
        list(map(value, outputs)),
        weights,
    )


def write_graph(
    path: Path, graph: onnx.GraphProto, about: Metadata, is_sealed: bool = True
) -> None:
    """As ``mmps export`` does."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9
    )
    model.metadata_props.add(key=KEY, value=about.to_json(is_sealed))
    content = model.SerializeToString()
    path.write_bytes(sealed(content) if is_sealed else content)
