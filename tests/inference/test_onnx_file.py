"""Files of strangers: notes are read, weights elsewhere are refused."""

import hashlib

import numpy as np
import pytest

from mmps.errors import InputError
from mmps.inference.onnx_file import read_onnx, sealed

onnx = pytest.importorskip('onnx')
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def weight(external=None):
    tensor = onnx.numpy_helper.from_array(np.float32([[1, 2]]), 'w')
    if external is not None:
        tensor.ClearField('raw_data')
        tensor.external_data.add(key='location', value=external)
        if external:
            tensor.data_location = onnx.TensorProto.EXTERNAL
    return tensor


def graph(nodes=(), initializer=(), **options):
    value = helper.make_tensor_value_info('y', FLOAT, [None, 2])
    return helper.make_graph(
        list(nodes), 'g', [], [value], list(initializer), **options
    )


def constant(external):
    return helper.make_node('Constant', [], ['y'], value=weight(external))


def branch(external):
    return helper.make_node(
        'If',
        ['c'],
        ['y'],
        then_branch=graph([constant(None)]),
        else_branch=graph([constant(external)]),
    )


def function(external):
    return helper.make_function(
        'own', 'F', [], ['y'], [constant(external)], []
    )


def sparse(external):
    part = onnx.SparseTensorProto()
    part.values.CopyFrom(weight(external))
    part.dims.extend([1, 2])
    return part


PLACES = {
    'weight': lambda at: dict(graph=graph(initializer=[weight(at)])),
    'constant': lambda at: dict(graph=graph([constant(at)])),
    'branch': lambda at: dict(graph=graph([branch(at)])),
    'function': lambda at: dict(graph=graph(), functions=[function(at)]),
    'sparse': lambda at: dict(graph=graph(sparse_initializer=[sparse(at)])),
}


def saved(path, graph, **options):
    model = helper.make_model(graph, **options)
    helper.set_model_props(model, {'name': 'Müller', 'empty': ''})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('place', PLACES)
def test_weights_in_another_file_are_refused(place, tmp_path):
    fine = saved(tmp_path / 'fine.onnx', **PLACES[place](None))
    assert read_onnx(fine).notes == {'name': 'Müller', 'empty': ''}
    assert read_onnx(fine).content == fine.read_bytes()
    # '': one of the two marks alone
    for external in ('/etc/passwd', ''):
        bad = saved(tmp_path / 'bad.onnx', **PLACES[place](external))
        with pytest.raises(InputError, match=r'bad\.onnx: has weights in'):
            read_onnx(bad)


def test_a_file_that_is_cut_anywhere_is_damaged_or_without_notes(tmp_path):
    whole = saved(tmp_path / 'a.onnx', **PLACES['branch'](None)).read_bytes()
    cut = tmp_path / 'cut.onnx'
    damaged = 0
    for size in range(len(whole)):
        cut.write_bytes(whole[:size])
        try:
            assert len(read_onnx(cut).notes) < 2
        except InputError as error:
            assert 'is no ONNX file, or it is damaged' in str(error)  # noqa: PT017
            damaged += 1
    assert damaged > 0.9 * len(whole)


@pytest.mark.parametrize(
    'content', [b'\xff\xd8\xff\xe0 a picture', b'\x3a\x05ab', b'\x80' * 99]
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / 'x.onnx'
    path.write_bytes(content)
    with pytest.raises(InputError, match='is no ONNX file'):
        read_onnx(path)


def field(number, content):
    """A field of bytes, with a length of up to four digits of 7 bits."""
    size = [len(content) >> shift & 127 | 128 for shift in (0, 7, 14)]
    return bytes([number << 3 | 2, *size, len(content) >> 21]) + content


@pytest.mark.parametrize(('depth', 'is_fine'), [(9, True), (3000, False)])
def test_graphs_in_graphs_end(depth, is_fine, tmp_path):
    content = b''
    for _ in range(depth):
        content = field(1, field(5, field(6, content)))  # node, attribute
    path = tmp_path / 'deep.onnx'
    path.write_bytes(field(7, content))
    if is_fine:
        assert read_onnx(path).notes == {}
    else:
        with pytest.raises(InputError, match='is no ONNX file'):
            read_onnx(path)


class TestSeal:
    """The last field of a file: the SHA-256 of what is before it."""

    @pytest.fixture
    def whole(self, tmp_path):
        path = saved(tmp_path / 'a.onnx', **PLACES['weight'](None))
        return path.read_bytes()

    def test_it_is_a_note_like_others(self, whole):
        digest = hashlib.sha256(whole).hexdigest()
        model = onnx.load_from_string(whole)
        model.metadata_props.add(key='sha256', value=digest)
        assert onnx.load_from_string(sealed(whole)) == model
        assert sealed(whole) == model.SerializeToString()

    def test_any_change_of_a_byte_is_damage(self, whole, tmp_path):
        path, content = tmp_path / 'a.onnx', sealed(whole)
        path.write_bytes(content)
        assert read_onnx(path).notes['name'] == 'Müller'
        unsealed = 0
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 4
            path.write_bytes(damaged)
            try:
                assert 'sha256' not in read_onnx(path).notes
                unsealed += 1
            except InputError as error:
                assert 'it is damaged' in str(error)  # noqa: PT017
        # the seal itself: its key, lengths and the number of its field
        assert unsealed < 12

    def test_nothing_follows_it(self, whole, tmp_path):
        path = tmp_path / 'a.onnx'
        for content in (
            sealed(whole) + field(14, b''),
            sealed(whole)[: len(whole)] + field(14, field(1, b'sha256')),
        ):
            path.write_bytes(content)
            with pytest.raises(InputError, match='it is damaged'):
                read_onnx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r'no\.onnx: cannot be read: No such'):
        read_onnx(tmp_path / 'no.onnx')
