"""Files of strangers that want to run something, or to take all time.

What runs would make a file in a folder of canaries. The same pickles are first
given to ``pickle.loads``, where each does.
"""

import hashlib
import io
import json
import os
import pickle
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import torch
from mmengine.runner import CheckpointLoader
from onnx import TensorProto, helper

from mmps.checkpoints import (
    CheckpointError,
    load_checkpoint_file,
    newest_valid_checkpoint,
)
from mmps.distillation import read_table
from mmps.errors import InputError
from mmps.evaluation import read_dump
from mmps.evaluation.npz import meta_entry
from mmps.inference.gallery_index import INDEX, GalleryIndex
from mmps.inference.lance_store import LanceStore
from mmps.inference.onnx_file import sealed
from mmps.inference.onnx_metadata import KEY
from mmps.inference.onnx_network import OnnxNetwork
from mmps.provenance import read_config_text
from mmps.published.source import read_published
from mmps.zoo import fetching
from mmps.zoo.external import load_external
from mmps.zoo.index import load_index
from tests.checkpoints.server import serve
from tests.inference.onnx_examples import metadata

from .damage import LONGEST, limits, quiet
from .onnx_files import write_network
from .payloads import (
    PLACES,
    as_legacy,
    as_tar,
    as_zip,
    calls,
    payload,
    within,
)
from .trial import Trial


def attack(trial: Trial) -> str:
    """Give each kind of file to its readers, in turn."""
    canaries = trial.folder / 'canaries'
    canaries.mkdir()
    died = _control(canaries)
    place = trial.folder / 'place'
    counts, slowest, most = Counter(), 0.0, 0.0
    kinds = list(_KINDS)
    with (
        serve({}) as server,
        quiet(),
        warnings.catch_warnings(action='ignore'),
        mock.patch.dict(os.environ, MMPS_CACHE=str(trial.folder / 'cache')),
        mock.patch.object(os, 'fsync'),  # disks may take seconds for it
    ):
        for number, rng in trial.each():
            kind = kinds[number % len(kinds)]
            errors, give = _KINDS[kind]
            place.mkdir()
            case = _Case(rng, place, str(canaries / str(number)), server)
            with trial.attempt(number):
                read = give(case)
                with limits(f'{kind}, {case.what}') as spent:
                    try:
                        read()
                        counts['read'] += 1
                        assert not case.runs, f'{case.what} was accepted'
                    except errors as error:
                        counts['refused'] += 1
                        _check_length(error, case)
                slowest = max(slowest, spent.seconds)
                most = max(most, spent.megabytes)
            with trial.attempt(number):
                ran = list(canaries.iterdir())
                for each in ran:
                    _remove(each)
                assert not ran, f'{kind}, {case.what}: {len(ran)} were run'
            _remove(place)
    return (
        f'0 executions; {counts["refused"]:,} refused, {counts["read"]:,} '
        f'harmless and read; {died} of {died} functions do run in '
        f'pickle.loads; slowest {slowest:.2f} s, {most:.0f} MB'
    )


def _control(canaries: Path) -> int:
    """How many of the functions run where nothing holds them back."""
    for number in range(calls()):
        for seed in range(3):
            path = canaries / f'{number}.{seed}'
            opcodes = payload(number, str(path), random.Random(seed))
            # what is raised comes after it has run
            with suppress(Exception), warnings.catch_warnings(action='ignore'):
                pickle.loads(within(('meta', 'cfg'), opcodes))
            made = list(canaries.iterdir())
            assert len(made) == 1, f'{number}, {seed}: the canary lives'
            _remove(made[0])
    return calls()


def _check_length(error: Exception, case: '_Case') -> None:
    length = len(str(error))
    assert length < LONGEST, f'{case.what}: a message of {length} characters'


def _remove(path: Path) -> None:
    if path.is_dir():
        for each in path.iterdir():
            _remove(each)
        path.rmdir()
    else:
        path.unlink()


class _Case:
    """One file.

    Attributes:
        rng: Decides all of it.
        place: Empty folder.
        canary: Path that is made if something runs.
        server: That serves what is put into its ``files``.
        what: What it is, for messages.
        runs: Whether it must be refused.
    """

    def __init__(
        self, rng: random.Random, place: Path, canary: str, server
    ) -> None:
        self.rng, self.place, self.canary = rng, place, canary
        self.server, self.what, self.runs = server, '', False

    def pickle(self) -> bytes:
        """One that calls a function, somewhere in a checkpoint."""
        number = self.rng.randrange(calls())
        place = self.rng.choice(PLACES)
        self.what, self.runs = f'function {number} in {place}', True
        return within(place, payload(number, self.canary, self.rng))

    def write(self, name: str, content: bytes, known: bool = True) -> Path:
        """A file, with its SHA-256 beside it."""
        path = self.place / name
        path.write_bytes(content)
        if known:
            digest = hashlib.sha256(content).hexdigest()
            (self.place / f'{name}.sha256').write_text(digest)
        return path

    def choose(self, choices: Mapping[str, object]) -> object:
        """One of these, which is noted."""
        self.what = self.rng.choice(list(choices))
        return choices[self.what]


def _checkpoint(case: _Case) -> Callable:
    wrap = case.rng.choice((as_zip, as_legacy, as_tar, bytes))
    content = wrap(case.pickle())
    case.what += f' as {wrap.__name__}'
    path = case.write('epoch_1.pth', content)
    read = case.rng.choice(
        (
            *(load_checkpoint_file, _stock),
            *(read_published, read_table, _resumed),
        )
    )
    case.what += f', by {read.__name__}'
    return partial(read, path)


def _stock(path: Path) -> None:
    """As mmengine asks for it."""
    CheckpointLoader.load_checkpoint(str(path), 'cpu')


def _resumed(path: Path) -> None:
    """As ``--resume`` does."""
    load_checkpoint_file(newest_valid_checkpoint(path.parent))


def _over_http(case: _Case) -> Callable:
    wrap = case.rng.choice((as_zip, as_legacy, as_tar, bytes))
    content = wrap(case.pickle())
    digest = hashlib.sha256(content).hexdigest()
    name = f'{case.rng.randrange(10**9)}-{digest[:8]}.pth'
    case.server.files[name] = content
    url = f'{case.server.url}/{name}'
    return partial(CheckpointLoader.load_checkpoint, url, 'cpu')


def _arrays(case: _Case) -> Callable:
    """A dump or an index with objects in the place of numbers."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {'descr': '|O', 'fortran_order': False, 'shape': ()},
    )
    objects = header.getvalue() + case.pickle()
    plain = io.BytesIO()
    np.save(plain, meta_entry(INDEX, {'network': 'n', 'det_thr': 0.5}))
    entries = dict.fromkeys(
        ('images', 'bboxes', 'scores', 'embeddings', 'offsets'), objects
    )
    entries['meta'] = case.rng.choice((objects, plain.getvalue()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
        for name, content in entries.items():
            archive.writestr(f'{name}.npy', content)
    content = case.rng.choice((packed.getvalue(), objects, case.pickle()))
    path = case.write('x.npz', content, known=False)
    return partial(case.rng.choice((read_dump, GalleryIndex.load)), path)


def _code(case: _Case) -> str:
    """Python that a config could be."""
    touch = f'open({case.canary!r}, "w").close()'
    choices = {
        'import': f'import os\nos.system("touch {case.canary}")',
        'call': f'a = {touch}',
        'nested': f'a = dict(b=[{{"c": {touch}}}])',
        'lambda': f'a = (lambda: {touch})()',
        'comprehension': f'a = [{touch} for _ in range(3)]',
        'format': f'a = f"{{{touch}}}"',
        'class': f'class A:\n    {touch}',
        'base': '_base_ = ["/etc/passwd", "https://127.0.0.1/x.py"]\na = 1',
        'reserved': 'a = "{{fileBasename}}"\nb = "{{$HOME:x}}"',
        'power': 'a = 9 ** 9 ** 9 ** 9',
        'product': 'a = "x" * 10 ** 11',
        'minus': f'a = {"-" * case.rng.randrange(50, 90_000)}1',
        'deep': f'a = {"[" * case.rng.randrange(50, 90_000)}',
        'dots': f'a = b{".c" * case.rng.randrange(50, 90_000)}',
        'sum': f'a = {"1+" * case.rng.randrange(50, 20_000)}1',
        'digits': f'a = {"9" * case.rng.randrange(10**4, 10**6)}',
        'no text': case.rng.choice((5, None, [1], b'a = 1')),
    }
    return case.choose(choices)


def _config_text(case: _Case) -> Callable:
    meta = {'cfg': _code(case), 'epoch': 1, 'iter': 1, 'config': 'a = 1'}
    content = {'state_dict': {'a': torch.zeros(2)}, 'meta': meta}
    path = case.place / 'x.pth'
    torch.save(content, path)

    def read() -> None:
        found = load_checkpoint_file(path)['meta']
        assert not {'cfg', 'config'} & set(found)
        read_config_text(found['cfg_text'], path)

    return read


def _safetensors(case: _Case) -> Callable:
    rng = case.rng
    number = int(2 ** rng.uniform(20, 62))

    def tensor(**changes) -> dict:
        usual = {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}
        return {'a': {**usual, **changes}}

    header = case.choose(
        {
            'a long header': number,
            'no header': 0,
            'a large tensor': tensor(shape=[number]),
            'a product that overflows': tensor(shape=[2**33, 2**33]),
            'many dimensions': tensor(shape=[1] * 100_000 + [2]),
            'nothing, and large': tensor(
                shape=[0, number], data_offsets=[0, 0]
            ),
            'a place beyond the end': tensor(data_offsets=[0, number]),
            'a place that ends before': tensor(data_offsets=[8, 0]),
            'a negative size': tensor(shape=[-2]),
            'an unknown type': tensor(dtype='O'),
            'the same bytes for all': {
                str(key): tensor()['a'] for key in range(2000)
            },
            'notes that are none': {'__metadata__': {'a': [1]}, **tensor()},
            'deep': '{"a":' * rng.randrange(100, 50_000),
            'deep lists': '[' * rng.randrange(100, 50_000),
            'a long name': {'x' * 10**6: tensor()['a']},
            'code': {f'__import__("os").mkdir("{case.canary}")': tensor()},
        }
    )
    if isinstance(header, int):
        content = header.to_bytes(8, 'little') + b'{}'
    else:
        text = header if isinstance(header, str) else json.dumps(header)
        content = len(text).to_bytes(8, 'little') + text.encode() + bytes(8)
    return partial(load_checkpoint_file, case.write('x.safetensors', content))


def _network(case: _Case) -> Callable:
    write_network(case.place)
    path = case.place / case.rng.choice(('scene.onnx', 'people.onnx'))
    model = onnx.load(path)
    del model.metadata_props[:]
    about = json.loads(metadata(part=path.stem).to_json())
    number = int(10 ** case.rng.uniform(6, 18))
    change = case.choose(
        {
            'text': partial(_set, about, 'network', f'$(touch {case.canary})'),
            'code': partial(_set, about, 'made_by', _code(case)),
            'a type': partial(_set, about, 'classes', {'__class__': 'os'}),
            'a large size': partial(_set, about, 'embedding_size', number),
            'many anchors': partial(
                *(_set, about['anchors'], 'base'),
                [[0.0] * 4] * case.rng.randrange(1, 50_000),
            ),
            'deep notes': partial(
                _set, about, 'measured', _nested(case.rng.randrange(10, 900))
            ),
            'weights elsewhere': partial(_elsewhere, model, case.canary),
            'an operator of its own': partial(_own_operator, model),
            'a large constant': partial(_large_constant, model, number),
            'a long loop': partial(_large_range, model, number),
            'a large weight': partial(_large_weight, model, number),
        }
    )
    change()
    text = json.dumps(about)
    if case.rng.random() < 0.1:
        text = '[' * case.rng.randrange(100, 100_000)
        case.what = 'notes without end'
    model.metadata_props.add(key=KEY, value=text)
    content = model.SerializeToString()
    path.write_bytes(case.rng.choice((sealed, bytes))(content))
    return partial(OnnxNetwork, case.place, 'cpu')


def _set(holder: dict, key: str, value: object) -> None:
    holder[key] = value


def _nested(depth: int) -> dict:
    found: dict = {}
    for _ in range(depth):
        found = {'a': found}
    return found


def _elsewhere(model: onnx.ModelProto, canary: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField('raw_data')
    tensor.external_data.add(key='location', value='/etc/passwd')
    tensor.data_location = TensorProto.EXTERNAL


def _own_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid('stranger', 1))
    model.graph.node[0].domain = 'stranger'


def _first_weight(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Make a node the source of the first weight."""
    weight = model.graph.initializer[0]
    node.output[:] = [weight.name]
    del model.graph.initializer[0]
    model.graph.node.insert(0, node)


def _large_constant(model: onnx.ModelProto, number: int) -> None:
    shape = helper.make_tensor('shape', TensorProto.INT64, [2], [number, 4])
    model.graph.initializer.append(shape)
    node = helper.make_node('ConstantOfShape', ['shape'], ['x'])
    _first_weight(model, node)


def _large_range(model: onnx.ModelProto, number: int) -> None:
    for name, value in (('from', 0.0), ('to', float(number)), ('by', 1.0)):
        tensor = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        model.graph.initializer.append(tensor)
    node = helper.make_node('Range', ['from', 'to', 'by'], ['x'])
    _first_weight(model, node)


def _large_weight(model: onnx.ModelProto, number: int) -> None:
    model.graph.initializer[0].dims[:] = [number, 4]


def _metafile(case: _Case) -> Callable:
    code = repr(f'open({case.canary!r}, "w").close()')
    laughs = 'a0: &a0 [x, x]\n' + ''.join(
        f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 9)}]\n'
        for n in range(1, case.rng.randrange(5, 30))
    )
    last = laughs.rpartition('&')[2].split()[0]
    text = case.choose(
        {
            'apply': f'!!python/object/apply:os.mkdir [{case.canary}]',
            'new': f'!!python/object/new:os.mkdir [[{case.canary}]]',
            'exec': f'!!python/object/apply:builtins.exec [{code}]',
            'name': '!!python/name:os.system',
            'module': '!!python/module:os',
            'state': '!!python/object:subprocess.Popen {args: [touch, x]}',
            'binary': '!!binary ' + 'A' * 999,
            'deep': '[' * case.rng.randrange(100, 3000),
            'laughs': f'*{last}',
            'key of laughs': f'{{? *{last} : 1}}',
            'merged': '{<<: [' + ', '.join(['{a: 1}'] * 500) + ']}',
            'a path': '../../../../etc/passwd',
            'an absolute path': '/etc/passwd',
            'a device': '/dev/zero',
            'itself': 'model-index.yml',
        }
    )
    entry = (
        f'Models:\n- Name: a\n  In Collection: b\n  Config: {text}\n'
        f'  Weights: {text}\n  SHA256: {"0" * 64}\n  Size: 9\n'
    )
    index, metafile = case.rng.choice(
        (
            (f'Import: [{text}]', ''),
            (f'Import: {text}', ''),
            ('Import: [configs/m.yml]', f'{entry}'),
            ('Import: [configs/m.yml]', f'Models: {text}'),
            ('Import: [configs/m.yml]', f'Networks: {text}'),
            ('Import: [configs/m.yml]', f'{text}'),
        )
    )
    (case.place / 'configs').mkdir()
    before = laughs if 'laughs' in case.what else ''
    (case.place / 'model-index.yml').write_text(before + index)
    (case.place / 'configs' / 'm.yml').write_text(before + metafile)
    (case.place / 'configs' / 'external.yml').write_text(before + metafile)
    return case.rng.choice(
        (
            partial(_fetched, case.place),
            partial(load_external, case.place),
        )
    )


def _fetched(root: Path) -> None:
    index = load_index(root)
    for entry in index.entries.values():
        fetching.fetch_file(entry.weights, index)


def _archive(case: _Case) -> Callable:
    noted = dict(
        format='mmps archive', version=1, network='n', det_thr=0.5, dims=4
    )
    import_module('lancedb')  # takes seconds, once
    (case.place / 'people.lance').mkdir()
    number = 10 ** case.rng.randrange(3, 300)
    change = case.choose(
        {
            'text': {'network': _code(case)},
            'a large number': {'dims': number},
            'another type': {'dims': {'__reduce__': ['os.system']}},
            'a path': {'model': f'../../{case.canary}', 'weights': 'zoo://..'},
            'deep': {'network': _nested(900)},
            'another version': {'version': number},
        }
    )
    text = json.dumps({**noted, **change}, default=str)
    if case.rng.random() < 0.3:
        text = '[' * case.rng.randrange(100, 100_000)
        case.what = 'no end'
    (case.place / 'archive.json').write_text(text)
    return partial(LanceStore, case.place)


#: Kind -> documented errors, and what makes the file and returns its reader.
_KINDS: dict[str, tuple[tuple, Callable[[_Case], Callable]]] = {
    'checkpoint': ((CheckpointError,), _checkpoint),
    'checkpoint over http': ((CheckpointError,), _over_http),
    'dump or index': ((ValueError,), _arrays),
    'config in a checkpoint': ((CheckpointError,), _config_text),
    'safetensors': ((CheckpointError,), _safetensors),
    'exported network': ((InputError,), _network),
    'metafile': ((InputError,), _metafile),
    'archive': ((InputError,), _archive),
}
