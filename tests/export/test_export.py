"""An exported network finds what torch finds, also where torch is not.

All tests that need an exported network stand in this file: to export one
takes ten seconds, and a file runs in one process.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmps.apis import load_config, run_test
from mmps.commands import export as command
from mmps.commands import main
from mmps.errors import InputError
from mmps.evaluation import read_dump
from mmps.export import export_network, with_measured
from mmps.inference import GalleryIndex, PersonSearchInferencer
from mmps.inference.network import Network
from mmps.inference.onnx_file import read_onnx, sealed
from mmps.inference.onnx_metadata import KEY, parse
from mmps.inference.onnx_network import OnnxNetwork
from mmps.inference.scenes import as_scene

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')
pytestmark = pytest.mark.slow
long = pytest.mark.long  # what needs the single graph: its export takes 20 s

ROOT = Path(__file__).parents[2]
BOX = (30, 20, 90, 160)
#: Raises where an import of these is tried, as if they were not installed.
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {names}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Blocked())
from mmps.commands import main
code = main(sys.argv[1:])
assert not {names} & set(sys.modules)
sys.exit(code)
"""
#: All that is installed for mmps and not named in requirements-onnx.txt.
NAMES = {
    *('torch', 'mmengine', 'mmcv', 'mmdet', 'onnx', 'onnxscript', 'scipy'),
    *(
        'yaml',
        'matplotlib',
        'jinja2',
        'pycocotools',
        'requests',
        'safetensors',
    ),
}


LAYOUTS = pytest.mark.parametrize(
    'layout', ['split', pytest.param('single', marks=long)]
)


def written(layout, oim, files, folder, *more):
    """What the command writes, compares and prints."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        code = main(
            [
                *('export', oim.config, oim.weights, '--layout', layout),
                *('--out', str(folder), *more),
                *('--check', files[0], files[7]),
            ]
        )
    return SimpleNamespace(path=folder, code=code, text=text.getvalue())


@pytest.fixture(scope='module')
def two_files(oim, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp('split')
    return written('split', oim, files, folder, '--int8', *files[1:4])


@pytest.fixture(scope='module')
def one_file(oim, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp('single')
    return written('single', oim, files, folder)


@pytest.fixture(scope='module')
def split(two_files):
    return PersonSearchInferencer(str(two_files.path))


@pytest.fixture(scope='module')
def single(one_file):
    return PersonSearchInferencer(str(one_file.path / 'single.onnx'))


@pytest.mark.parametrize(
    ('made', 'names'),
    [
        ('two_files', ['people', 'scene']),
        pytest.param('one_file', ['single'], marks=long),
    ],
)
def test_the_command_exports_and_compares(made, names, request):
    made = request.getfixturevalue(made)
    assert f'{made.path} differs' not in made.text
    # an int8 of random weights may do so
    assert made.code == ('differs from torch too much' in made.text)
    assert [p.stem for p in sorted(made.path.glob('*.onnx'))] == names
    for path in made.path.rglob('*.onnx'):
        assert f'wrote {path} (' in made.text
        assert str(ROOT).encode() not in path.read_bytes()
        onnx.checker.check_model(onnx.load(path), full_check=True)
    assert f'{made.path}, fp32:' in made.text


def test_the_proposals_of_many_are_limited(oim, files, monkeypatch, capsys):
    """Those of the config, 20, are taken for many here."""
    seen = []
    monkeypatch.setattr(command, 'MOST_PROPOSALS', 12)
    monkeypatch.setattr(
        'mmps.export.export_network', lambda network, *_: seen.append(network)
    )
    for more in ([], ['--proposals', '20'], ['--proposals', '30']):
        main(['export', oim.config, oim.weights, '--out', 'x', *more])
    assert [network.proposals for network in seen] == [12, 20, 30]
    for network in seen:
        assert network.configured_proposals == 20
        rule = network.model.rpn_head.test_cfg
        assert rule.max_per_img == network.proposals
    text = capsys.readouterr().out
    assert text.count('in place of') == 1
    assert '12 proposals in place of 20; --proposals 20 keeps' in text
    assert len({network.fingerprint for network in seen}) == 3


@LAYOUTS
def test_everybody_is_found_as_with_torch(layout, plain, files, request):
    """Pictures of two sizes, neither a multiple of the stride."""
    inferencer = request.getfixturevalue(layout)
    expected = plain.index(files)
    found = inferencer.index(files)
    assert len(found) > 30
    assert found.network == expected.network
    np.testing.assert_array_equal(found.boxes.offsets, expected.boxes.offsets)
    for part, atol in (('bboxes', 1e-2), ('scores', 1e-5)):
        np.testing.assert_allclose(
            *(getattr(index.boxes, part) for index in (found, expected)),
            atol=atol,
        )
    np.testing.assert_allclose(
        found.boxes.embeddings, expected.boxes.embeddings, atol=1e-5
    )


def test_the_box_of_a_query_is_embedded_as_with_torch(plain, split, files):
    for file in (files[0], files[7]):
        for box in (BOX, (-50, 10, 30, 9000)):  # partly outside
            a, b = (
                network.embed(network.prepare(as_scene(file), box))
                for network in (plain.network, split.network)
            )
            np.testing.assert_allclose(a, b, atol=1e-6)


@long
def test_one_graph_embeds_whom_it_detects(single, files):
    network = single.network
    people = single.people(files[0])
    for row in (0, len(people) - 1):
        item = network.prepare(as_scene(files[0]), people.bboxes[row])
        np.testing.assert_array_equal(
            network.embed(item), people.embeddings[row]
        )
    item = network.prepare(as_scene(files[0]), (0, 0, 2, 2))
    with pytest.raises(InputError, match=r'embeds whom it detects.*--pick'):
        network.embed(item)


def save(model, path):
    """Write a model that was changed, with a seal of its new bytes."""
    del model.metadata_props[1:]
    path.write_bytes(sealed(model.SerializeToString()))


def with_metadata(source, folder, change):
    """A copy whose metadata are changed."""
    folder.mkdir()
    for path in source.glob('*.onnx'):
        model = onnx.load(path)
        content = json.loads(model.metadata_props[0].value)
        change(content)
        model.metadata_props[0].value = json.dumps(content)
        save(model, folder / path.name)
    return folder


def test_there_may_be_no_proposal(two_files, split, files, tmp_path):
    def change(content):
        content['proposals']['min_size'] = 1e5

    folder = with_metadata(two_files.path, tmp_path / 'none', change)
    network = OnnxNetwork(folder)
    item = network.prepare(as_scene(files[0]))
    given = np.float32([BOX])
    found, embeddings = network.detect_and_embed(item, given)
    assert [part.shape for part in found] == [(0, 4), (0,), (0, 8)]
    # boxes that are given are embedded all the same
    expected = split.network.embed(
        split.network.prepare(as_scene(files[0]), BOX)
    )
    np.testing.assert_array_equal(embeddings, [expected])
    inferencer = PersonSearchInferencer(str(folder))
    assert inferencer.search(files[0], BOX, files[:2]) == []


@long
def test_one_graph_may_have_no_proposal(one_file, files, single):
    """A picture of one colour, and an RPN that sees no anchor at all."""
    model = onnx.load(one_file.path / 'single.onnx')
    (first, *_) = (
        node for node in model.graph.node if node.op_type.startswith('NonMax')
    )
    threshold = onnx.numpy_helper.from_array(np.float32([2]), 'all_gone')
    model.graph.initializer.append(threshold)
    first.input[4] = 'all_gone'  # minimum score
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    image = single.network.prepare(as_scene(files[0]))['inputs'][None]
    found = session.run(None, {'image': image})
    assert [part.shape for part in found] == [(0, 4), (0,), (0, 8)]


@LAYOUTS
def test_a_picture_of_nobody_is_no_mistake(layout, plain, request):
    grey = np.full((123, 177, 3), 90, np.uint8)
    inferencer = request.getfixturevalue(layout)
    assert len(inferencer.index([grey])) == len(plain.index([grey]))


def test_an_index_serves_torch_and_onnx(
    plain, split, two_files, files, tmp_path
):
    """Their embeddings are the same to 1e-5, so that they can be compared."""
    split.index(files).save(tmp_path / 'index.npz')
    index = GalleryIndex.load(tmp_path / 'index.npz')
    found = plain.search(files[0], BOX, index, top=3)
    expected = plain.search(files[0], BOX, files, top=3)
    assert [m.source for m in found] == [m.source for m in expected]

    def change(content):
        content['fingerprint'] = 'another'

    other = with_metadata(two_files.path, tmp_path / 'other', change)
    with pytest.raises(ValueError, match='made by network'):
        PersonSearchInferencer(str(other)).search(files[0], BOX, index)


def search_without_torch(*words):
    return subprocess.run(
        [
            *(sys.executable, '-c', BLOCKED.format(names=NAMES), 'search'),
            *map(str, words),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )


@pytest.mark.parametrize(
    'made', ['two_files', pytest.param('one_file', marks=long)]
)
def test_a_search_needs_no_torch(made, plain, files, video, tmp_path, request):
    out, found = tmp_path / 'sheet.jpg', tmp_path / 'found.json'
    done = search_without_torch(
        *(files[0], '--pick', 2, '--gallery', *files, video),
        *(
            '--model',
            request.getfixturevalue(made).path,
            '--group',
            0,
            '--top',
            9,
        ),
        *('--json', found, '--out', out, '--index', tmp_path / 'index.npz'),
    )
    assert done.returncode == 0, done.stderr
    matches = json.loads(found.read_text())['matches']
    box = plain.people(files[0]).bboxes[1]
    expected = plain.search(files[0], box, [*files, video], top=9)
    assert out.exists()
    np.testing.assert_allclose(
        [match['similarity'] for match in matches],
        [match.similarity for match in expected],
        atol=1e-5,
    )
    # others are so alike to random weights that they change places
    np.testing.assert_allclose(matches[0]['box'], expected[0].box, atol=1e-2)


def test_files_that_do_not_belong_together_are_refused(two_files, tmp_path):
    def change(content):
        content['fingerprint'] = 'another'

    mixed = with_metadata(two_files.path, tmp_path / 'mixed', change)
    shutil.copy(two_files.path / 'scene.onnx', mixed)
    with pytest.raises(InputError, match=r"people\.onnx: .* is 'another'"):
        OnnxNetwork(mixed)
    (mixed / 'people.onnx').unlink()
    with pytest.raises(InputError, match=r'people\.onnx: cannot be read'):
        OnnxNetwork(mixed)
    shutil.copy(mixed / 'scene.onnx', mixed / 'people.onnx')
    with pytest.raises(InputError, match=r"metadata part is 'scene'"):
        OnnxNetwork(mixed)
    with pytest.raises(InputError, match=r'holds neither scene\.onnx nor'):
        OnnxNetwork(tmp_path)


def test_a_graph_of_another_shape_is_refused(two_files, tmp_path):
    folder = tmp_path / 'other'
    folder.mkdir()
    for path in two_files.path.glob('*.onnx'):
        shutil.copy(path, folder)
    model = onnx.load(folder / 'people.onnx')
    model.graph.output.pop()
    save(model, folder / 'people.onnx')
    OnnxNetwork(two_files.path)
    # two outputs are those of a first head, and this network has no second
    with pytest.raises(InputError, match=r"expected .*'embeddings'"):
        OnnxNetwork(folder)
    text = model.metadata_props[0].value
    empty = onnx.helper.make_model(onnx.helper.make_graph([], 'g', [], [], []))
    empty.metadata_props.add(key=KEY, value=text)
    save(empty, folder / 'people.onnx')
    with pytest.raises(InputError, match=r'people\.onnx: '):
        OnnxNetwork(folder)


def test_weights_that_were_changed_are_refused(two_files, tmp_path):
    for path in two_files.path.glob('*.onnx'):
        shutil.copy(path, tmp_path)
    content = bytearray((tmp_path / 'people.onnx').read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / 'people.onnx').write_bytes(content)
    with pytest.raises(InputError, match=r'people\.onnx: is no ONNX file, or'):
        OnnxNetwork(tmp_path)


def test_options_that_do_not_fit_are_refused(two_files, oim):
    folder = str(two_files.path)
    with pytest.raises(ValueError, match='holds its weights'):
        PersonSearchInferencer(folder, oim.weights)
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        PersonSearchInferencer(folder, device='abacus')


def test_notes_of_the_network_travel(two_files, oim):
    about = OnnxNetwork(two_files.path).metadata
    network = Network(oim.config, oim.weights, 'cpu')
    assert about.network == 'oim'
    assert about.fingerprint == network.fingerprint
    assert about.det_thr == network.det_thr == 0.05
    assert about.proposals.max_per_img == 20
    assert about.embedding_size == 8
    assert about.license


@long
def test_both_layouts_have_the_same_notes(two_files, one_file):
    about = OnnxNetwork(two_files.path).metadata
    single = OnnxNetwork(one_file.path).metadata
    assert replace(single, part='scene', layout='split') == about


def test_int8_is_another_network_of_much_the_same_embeddings(
    two_files, split, files
):
    folder = two_files.path / 'int8'
    about = OnnxNetwork(folder).metadata
    notes = about.quantization
    assert about.precision == 'int8'
    assert notes['pictures'] == 3
    assert notes['of_fingerprint'] == split.network.fingerprint
    assert about.fingerprint != split.network.fingerprint
    assert f'{folder}, int8:' in two_files.text
    for path in folder.iterdir():
        graph = onnx.load(path).graph
        inputs = {name for node in graph.node for name in node.input}
        weights = [w for w in graph.initializer if w.name in inputs]
        kinds = {w.data_type for w in weights if len(w.dims) == 4}
        assert onnx.TensorProto.INT8 in kinds
    network = OnnxNetwork(folder)
    found, expected = (
        one.embed(one.prepare(as_scene(files[5]), BOX))
        for one in (network, split.network)
    )
    assert 0 < np.linalg.norm(found - expected) < 0.1


def test_an_exported_network_is_tested_as_one(two_files, oim, tmp_path):
    dumps = []
    for number, weights in enumerate((oim.weights, two_files.path)):
        cfg = load_config(
            oim.config,
            work_dir=str(tmp_path / str(number)),
            cfg_options={'experiment_name': f'exported{number}'},
        )
        dumps.append(tmp_path / f'{number}.npz')
        run_test(cfg, str(weights), dump=str(dumps[-1]))
    expected, found = map(read_dump, dumps)
    np.testing.assert_allclose(
        found.query_embeddings, expected.query_embeddings, atol=1e-5
    )
    for part, atol in (('bboxes', 1e-2), ('scores', 1e-5)):
        np.testing.assert_allclose(
            *(getattr(dump.detections, part) for dump in (found, expected)),
            atol=atol,
        )


@long
def test_a_single_graph_is_not_tested(one_file, oim, tmp_path):
    cfg = load_config(oim.config, work_dir=str(tmp_path))
    with pytest.raises(InputError, match='is a single graph'):
        run_test(cfg, str(one_file.path))


def test_what_was_measured_stands_in_the_files(two_files, tmp_path):
    folder = with_metadata(two_files.path, tmp_path / 'm', lambda found: None)
    with_measured(folder, {'G100/mAP': 0.5})
    for part in ('scene', 'people'):
        path = folder / f'{part}.onnx'
        about = parse(read_onnx(path).notes, path)
        assert about.measured == {'G100/mAP': 0.5}
        assert about.part == part


def test_gates_are_refused(qeeps, tmp_path):
    network = Network(qeeps.config, qeeps.weights, 'cpu')
    with pytest.raises(InputError, match='gates between query and gallery'):
        export_network(network, tmp_path)
    assert not list(tmp_path.iterdir())
