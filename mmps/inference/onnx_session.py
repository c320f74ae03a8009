"""The files of an exported network, and their graphs on onnxruntime."""

import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mmps.errors import InputError

from .onnx_file import OnnxFile, read_onnx
from .onnx_metadata import REID, Metadata, parse

#: Graph -> names of its inputs, and of its outputs.
_NAMES = {
    'scene': (['image'], ['c4', 'rpn_logits', 'rpn_deltas']),
    'people': (['c4', 'rois'], ['logits', 'deltas', 'embeddings']),
    REID: (['c4', 'rois'], ['logits', 'deltas', 'embeddings']),
    'single': (['image'], ['bboxes', 'scores', 'embeddings']),
}
_PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider'}


class Graph:
    """A graph on onnxruntime, called with arrays in the order of its inputs.

    Args:
        file: Of the graph.
        about: Its metadata.
        options: As of ``session_options``.
        providers: As of ``session_options``.

    Raises:
        InputError: onnxruntime refuses it, or it has other inputs or outputs.
    """

    def __init__(
        self,
        file: OnnxFile,
        about: Metadata,
        options: Any,
        providers: list[str],
    ) -> None:
        import onnxruntime

        self.path = file.path
        try:
            self._session = onnxruntime.InferenceSession(
                file.content, options, providers=providers
            )
        except Exception as error:  # onnxruntime has a type for each cause
            reason, *_ = f'{error}\n'.splitlines()
            raise InputError(
                file.path, f'onnxruntime cannot load it: {reason}'
            ) from error
        inputs, outputs = (
            [one.name for one in found]
            for found in (
                self._session.get_inputs(),
                self._session.get_outputs(),
            )
        )
        wanted = _NAMES[about.part]
        if about.part == 'people' and about.second is not None:
            wanted = wanted[0], wanted[1][:2]  # the second head embeds
        if (inputs, outputs) != wanted:
            raise InputError(
                file.path,
                f'takes {inputs} and gives {outputs}, expected {wanted[0]} '
                f'and {wanted[1]}',
                'Export the network again: mmps export',
            )
        self._inputs = inputs

    def __call__(self, *values: np.ndarray) -> list[np.ndarray]:
        return self._session.run(
            None, dict(zip(self._inputs, values, strict=True))
        )


def network_files(path: str | PathLike) -> list[tuple[OnnxFile, Metadata]]:
    """All files of a network, and their metadata, which agree.

    Args:
        path: Folder, or the first file.

    Raises:
        InputError: A file is missing or damaged, or they are of two exports.
    """
    first = path = Path(path)
    if path.is_dir():
        first = path / 'scene.onnx'
        if not first.exists():
            first = path / 'single.onnx'
        if not first.exists():
            raise InputError(
                path,
                'holds neither scene.onnx nor single.onnx',
                'Write them with mmps export',
            )
    file = read_onnx(first)
    about = parse(file.notes, first)
    found = [(file, about)]
    for name in about.parts:
        if name == about.part:
            continue
        other = read_onnx(first.with_name(f'{name}.onnx'))
        metadata = parse(other.notes, other.path)
        for key, given in (
            ('part', name),
            ('fingerprint', about.fingerprint),
            ('precision', about.precision),
        ):
            if getattr(metadata, key) != given:
                raise InputError(
                    other.path,
                    f'metadata {key} is {getattr(metadata, key)!r}, expected '
                    f'{given!r} as of {first.name}',
                    'Files of different exports are mixed: export again',
                )
        found.append((other, metadata))
    return found


def session_options(device: str | None) -> tuple[Any, list[str]]:
    """How onnxruntime runs: its options, with threads, and its providers.

    Args:
        device: As of ``OnnxNetwork``.

    Raises:
        InputError: onnxruntime is not installed.
        ValueError: No such device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            'onnxruntime',
            'is not installed, and exported networks run on it',
            "Install it: pip install 'mmps[onnx]' (docs/export.md)",
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    # as torch does
    threads = os.environ.get('OMP_NUM_THREADS', '')
    if threads.isdecimal():
        options.intra_op_num_threads = int(threads)
    there = onnxruntime.get_available_providers()
    name = device
    if device is None:
        name = 'cuda' if _PROVIDERS['cuda'] in there else 'cpu'
    if _PROVIDERS.get(name) not in there:
        raise ValueError(
            f'device {device!r} cannot be used: onnxruntime has {there}; '
            "give 'cpu', or 'cuda' with onnxruntime-gpu installed"
        )
    # what a GPU lacks is done by the CPU
    return options, list(dict.fromkeys([_PROVIDERS[name], _PROVIDERS['cpu']]))
