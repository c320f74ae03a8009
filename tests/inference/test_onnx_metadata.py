"""What an exported file says of itself is read back, or refused by name."""

import json
import re

import pytest

from mmps.errors import InputError
from mmps.inference.onnx_metadata import KEY, Anchors, parse
from tests.inference.onnx_examples import SECOND, metadata


@pytest.mark.parametrize(
    'known',
    [
        metadata(),
        metadata(second=SECOND, part='reid', match_threshold=None),
        metadata(layout='single', part='single', training_data='synth'),
        metadata(precision='int8', quantization={'method': 'static'}),
    ],
)
def test_what_is_written_is_read(known):
    assert parse({KEY: known.to_json(), 'other': 'x'}, 'a.onnx') == known


def test_a_file_that_lost_its_seal_is_refused():
    notes = {KEY: metadata().to_json(sealed=True), 'sha256': 'any'}
    assert parse(notes, 'a.onnx') == metadata()
    del notes['sha256']
    with pytest.raises(InputError, match='metadata sealed is true, and the'):
        parse(notes, 'a.onnx')


def test_notes_without_end_are_not_read():
    base = ((0.0, 0.0, 1.0, 1.0),) * 5000
    long = metadata(anchors=Anchors(base, (16, 16))).to_json()
    with pytest.raises(InputError, match=r'mmps has 1\d\d,\d{3} characters'):
        parse({KEY: long}, 'a.onnx')


def test_a_network_with_two_heads_has_three_files():
    assert metadata().parts == ('scene', 'people')
    assert metadata(second=SECOND).parts == ('scene', 'people', 'reid')
    assert metadata(layout='single', second=SECOND).parts == ('single',)


def changed(path, value):
    """JSON of a file with one field changed, or gone for None."""
    content = json.loads(metadata(second=SECOND).to_json())
    *before, last = path.split('.')
    holder = content
    for key in before:
        holder = holder[int(key) if key.isdecimal() else key]
    if value is None:
        del holder[last]
    else:
        holder[int(last) if last.isdecimal() else last] = value
    return json.dumps(content)


def fields(content, name=''):
    """Dotted names of all fields, those that hold fields included."""
    for key, value in content.items():
        if key not in ('format', 'version'):
            yield name + key
        if isinstance(value, dict):
            yield from fields(value, f'{name}{key}.')


NAMES = list(fields(json.loads(metadata(second=SECOND).to_json())))


@pytest.mark.parametrize('name', NAMES)
def test_a_missing_field_is_named(name):
    message = rf'a\.onnx: metadata {re.escape(name)} is missing'
    with pytest.raises(InputError, match=message):
        parse({KEY: changed(name, None)}, 'a.onnx')


@pytest.mark.parametrize(
    ('name', 'value', 'problem'),
    [
        ('format', 'another', "format is not 'mmps network'"),
        ('version', 2, 'version is 2; this mmps reads version 1'),
        ('network', 3, 'network is 3, expected str'),
        ('embedding_size', 2.5, 'embedding_size is 2.5, expected int'),
        ('embedding_size', True, 'embedding_size is True, expected int'),
        ('embedding_size', 0, 'embedding_size is 0, expected 1 to'),
        ('det_thr', 1.5, 'det_thr is 1.5, expected 0 to 1'),
        ('det_thr', float('nan'), 'det_thr is nan, expected float'),
        ('det_thr', '0.5', "det_thr is '0.5', expected float"),
        ('resize', [], r'resize is \[\], expected Resize'),
        ('resize.long', 10**9, 'resize.long is 1000000000, expected 1 to'),
        ('resize.rounding', 'up', "'up', expected nearest or down"),
        ('input.mean', [1, 2], 'input.mean is 2, expected 3'),
        ('input.order', 'rgb', "input.order is 'rgb', expected bgr"),
        ('anchors.base', [], 'anchors.base is 0, expected 1 to'),
        ('anchors.base.0', [1, 2, 3], r'base\[0\] is 3, expected 4'),
        ('anchors.base.0', 'four', r"base\[0\] is 'four', expected"),
        ('anchors.stride', [16, 0], 'anchors.stride is 0, expected 1 to'),
        ('proposals.coder.stds', [1] * 5, 'coder.stds is 5, expected 4'),
        ('proposals.iou_threshold', 7, 'iou_threshold is 7'),
        ('proposals.max_per_img', 0, 'proposals.max_per_img is 0'),
        ('detections.embed_on', 'all', "'all', expected proposal or refined"),
        ('second.score', 'sum', "score is 'sum', expected first or norm"),
        ('second.iou_threshold', -1, 'second.iou_threshold is -1'),
        ('layout', 'many', "layout is 'many', expected split or single"),
        ('part', '../x', "part is '../x', expected scene or people or reid"),
        ('precision', 'fp8', "precision is 'fp8', expected fp32 or int8"),
    ],
)
def test_a_wrong_field_is_named(name, value, problem):
    with pytest.raises(InputError, match=f'metadata .*{problem}'):
        parse({KEY: changed(name, value)}, 'a.onnx')


@pytest.mark.parametrize('text', ['{', '[1]', '"x"', '[' * 100_000])
def test_what_is_no_object_of_json_is_refused(text):
    with pytest.raises(InputError, match=r'a\.onnx: metadata'):
        parse({KEY: text}, 'a.onnx')


def test_a_file_of_others_is_refused():
    with pytest.raises(InputError, match='not written by mmps export'):
        parse({'names': "{0: 'person'}"}, 'yolo.onnx')
