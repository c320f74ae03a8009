"""The stand-in: there when needed, silent otherwise, honest when called."""

import importlib
import importlib.util
import pkgutil
import sys

import pytest
import torch

from mmps.ops import mmcv_ext, nms

needs_lite = pytest.mark.skipif(
    not mmcv_ext.is_supplied(), reason='full mmcv is installed'
)


@pytest.fixture
def no_mmcv(monkeypatch):
    """Forget the mmcv that is imported; remember it afterwards."""
    before = dict(sys.modules)
    for name in before:
        if name.split('.')[0] == 'mmcv':
            del sys.modules[name]
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


def make_mmcv(folder, monkeypatch, compiled):
    """Write an mmcv with or without compiled ops, first on the path."""
    (folder / 'mmcv').mkdir()
    (folder / 'mmcv' / '__init__.py').touch()
    if compiled:
        (folder / 'mmcv' / '_ext.py').write_text("nms = 'compiled'\n")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures('no_mmcv')
def test_full_mmcv_is_left_alone(tmp_path, monkeypatch):
    make_mmcv(tmp_path, monkeypatch, compiled=True)
    mmcv_ext.supply(nms)
    assert 'mmcv._ext' not in sys.modules
    assert importlib.import_module('mmcv._ext').nms == 'compiled'
    mmcv_ext.supply(nms)
    assert sys.modules['mmcv._ext'].nms == 'compiled'
    assert not mmcv_ext.is_supplied()


@pytest.mark.usefixtures('no_mmcv')
@pytest.mark.parametrize(
    ('name', 'ours'), [('torch', True), ('torchvision', True), ('mmcv', False)]
)
def test_nms_of_full_mmcv_follows_the_set_that_is_asked_for(
    tmp_path, monkeypatch, name, ours
):
    make_mmcv(tmp_path, monkeypatch, compiled=True)
    monkeypatch.setenv('MMPS_OPS', name)
    mmcv_ext.supply(nms)
    ext = importlib.import_module('mmcv._ext')
    assert ext.nms == (nms if ours else 'compiled')
    assert not mmcv_ext.is_supplied()


@pytest.mark.usefixtures('no_mmcv')
def test_mmcv_without_ops_gets_them(tmp_path, monkeypatch):
    make_mmcv(tmp_path, monkeypatch, compiled=False)
    mmcv_ext.supply(nms)
    first = importlib.import_module('mmcv._ext')
    mmcv_ext.supply(nms)
    assert sys.modules['mmcv._ext'] is first
    assert mmcv_ext.is_supplied()


@pytest.mark.usefixtures('no_mmcv')
def test_no_mmcv_at_all_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmcv', None)
    with pytest.raises(ImportError, match='pip install mmcv-lite'):
        mmcv_ext.supply(nms)
    assert 'mmcv._ext' not in sys.modules


@needs_lite
def test_it_is_a_module_that_pkgutil_accepts():
    # mmengine looks for it so while it builds a Runner
    ext = importlib.import_module('mmcv._ext')
    assert ext.__spec__.name == 'mmcv._ext'
    assert importlib.util.find_spec('mmcv._ext') is ext.__spec__
    assert pkgutil.resolve_name('mmcv._ext') is ext
    assert not hasattr(ext, '__wrapped__')


@needs_lite
@pytest.mark.parametrize('op', ['roi_align_forward', 'softnms', 'ball_query'])
def test_other_ops_say_their_name_and_the_way_out(op):
    ext = importlib.import_module('mmcv._ext')
    with pytest.raises(RuntimeError, match=f"'{op}'.*full mmcv.*pip install"):
        getattr(ext, op)(torch.zeros(1), size=2)


@needs_lite
def test_environment_reports_do_not_fail():
    from mmcv.utils import collect_env

    assert collect_env()['MMCV Compiler'] == 'n/a'


def crowd(number=300):
    gen = torch.Generator().manual_seed(0)
    corner = torch.rand(number, 2, generator=gen) * 80
    size = torch.rand(number, 2, generator=gen) * 30 + 5
    boxes = torch.cat([corner, corner + size], 1)
    return boxes, torch.rand(number, generator=gen)


@pytest.mark.parametrize('as_numpy', [False, True])
def test_nms_of_mmcv(as_numpy):
    from mmcv.ops import nms as mmcv_nms

    boxes, scores = crowd()
    expected = nms(boxes, scores, 0.4)
    if as_numpy:
        dets, kept = mmcv_nms(boxes.numpy(), scores.numpy(), 0.4)
        dets, kept = torch.from_numpy(dets), torch.from_numpy(kept)
    else:
        dets, kept = mmcv_nms(boxes, scores, 0.4)
    assert kept.tolist() == expected.tolist()
    assert torch.equal(dets[:, :4], boxes[expected])
    assert torch.equal(dets[:, 4], scores[expected])


def test_nms_of_mmcv_with_its_other_arguments():
    from mmcv.ops import nms as mmcv_nms

    boxes, scores = crowd()
    boxes = boxes / 10  # a pixel more makes a difference
    some = (scores > 0.3).nonzero()[:, 0]
    expected = some[nms(boxes[some], scores[some], 0.4, 1)][:60]
    without = some[nms(boxes[some], scores[some], 0.4, 0)][:60]
    assert expected.tolist() != without.tolist()
    _, kept = mmcv_nms(
        boxes, scores, 0.4, offset=1, score_threshold=0.3, max_num=60
    )
    assert kept.tolist() == expected.tolist()


@pytest.mark.parametrize('split_thr', [10000, 100])
def test_batched_nms_of_mmcv_keeps_classes_apart(split_thr):
    from mmcv.ops import batched_nms

    boxes, scores = crowd()
    classes = torch.arange(len(boxes)) % 3
    config = {'type': 'nms', 'iou_threshold': 0.4, 'split_thr': split_thr}
    _, kept = batched_nms(boxes, scores, classes, config)
    expected = []
    for index in range(3):
        own = (classes == index).nonzero()[:, 0]
        expected += own[nms(boxes[own], scores[own], 0.4)].tolist()
    expected.sort(key=lambda i: -float(scores[i]))
    assert kept.tolist() == expected


def test_batched_nms_of_mmcv_takes_nothing():
    from mmcv.ops import batched_nms

    dets, kept = batched_nms(
        torch.zeros(0, 4).reshape(0, 4),
        torch.zeros(0),
        torch.zeros(0),
        {'type': 'nms', 'iou_threshold': 0.4},
        class_agnostic=True,
    )
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)
