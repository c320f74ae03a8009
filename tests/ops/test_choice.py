"""Which operators are chosen, and what is said about it."""

import re
import sys
import warnings
from types import SimpleNamespace

import mmcv.ops  # before a stand-in for its compiled part
import pytest
import torch

from mmps.ops import choice, describe_operators, mmcv_ext, nms, roi_align
from mmps.ops.choice import kernels_for
from tests.ops.stand_ins import install_compiled_mmcv, install_torchvision

module = sys.modules['mmps.ops.roi_align']


@pytest.fixture
def bare(monkeypatch):
    """Neither torchvision nor compiled mmcv; a GPU that is the CPU."""
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    monkeypatch.setitem(
        sys.modules, 'mmcv._ext', mmcv_ext._Ext(mmcv_ext.NAME, nms)
    )
    tried = choice._tried
    monkeypatch.setattr(choice, '_tried', lambda name, _: tried(name, 'cpu'))
    return monkeypatch


def test_a_gpu_takes_torchvision_then_mmcv_then_ours(bare):
    with pytest.warns(UserWarning, match='plain torch on this GPU'):
        assert kernels_for('cuda') is None
    choice._found.clear()
    install_compiled_mmcv(bare)
    assert kernels_for('cuda').name == 'mmcv'
    choice._found.clear()
    install_torchvision(bare)
    assert kernels_for('cuda').name == 'torchvision'


def test_the_cpu_takes_ours_whatever_is_installed(bare):
    install_compiled_mmcv(bare)
    install_torchvision(bare)
    assert kernels_for('cpu') is None
    assert kernels_for('mps') is None


def test_one_warning_names_the_cure(bare):
    bare.setattr(torch, '__version__', '2.13.0+cu130')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(3):
            kernels_for('cuda')
    (warning,) = caught
    text = str(warning.message)
    assert "'torchvision==0.28.*' --index-url" in text
    assert text.count('whl/cu130') == 1
    assert 'mmcv: mmcv-lite has no compiled operators' in text
    assert 'MMPS_OPS=torch silences this' in text
    bare.setenv('MMPS_OPS', 'torch')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert kernels_for('cuda') is None


@pytest.mark.parametrize(
    ('version', 'command'),
    [
        ('2.6.0+cu124', '0.21.*.*whl/cu124$'),
        ('2.13.1+cpu', '0.28.*.*whl/cpu$'),
        ('2.13.0', r"0.28\.\*'$"),
        ('2.14.0a0+git1a2b3c', r"0.29\.\*'$"),
    ],
)
def test_the_torchvision_that_fits(bare, version, command):
    bare.setattr(torch, '__version__', version)
    bare.setenv('MMPS_OPS', 'torchvision')
    with pytest.raises(ImportError) as caught:
        kernels_for('cpu')
    told = str(caught.value).removesuffix(', or unset MMPS_OPS')
    assert re.search(command, told)


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('name', ['torchvision', 'mmcv'])
def test_a_set_that_is_asked_for_is_taken(bare, name, device):
    install_compiled_mmcv(bare)
    install_torchvision(bare)
    bare.setenv('MMPS_OPS', name)
    assert kernels_for(device).name == name
    assert kernels_for('mps') is None
    bare.setenv('MMPS_OPS', '')
    assert kernels_for('cpu') is None


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('torchvision', "'?torchvision'?.*pip install 'torchvision==0"),
        ('mmcv', 'mmcv-lite has no compiled.*pip uninstall mmcv-lite'),
    ],
)
def test_a_set_that_is_asked_for_and_absent_is_an_error(bare, name, told):
    bare.setenv('MMPS_OPS', name)
    with pytest.raises(ImportError, match=f'(?s)MMPS_OPS={name}.*{told}'):
        nms(torch.zeros(2, 4), torch.zeros(2), 0.5)
    with pytest.raises(ImportError, match=f'MMPS_OPS={name}'):
        roi_align(torch.zeros(1, 1, 2, 2), torch.zeros(1, 5), 1)
    with pytest.raises(ImportError, match=f'MMPS_OPS={name}'):
        describe_operators('cpu')


def test_a_wrong_value_is_an_error(monkeypatch):
    monkeypatch.setenv('MMPS_OPS', 'tv')
    told = "must be torchvision, mmcv or torch .*got 'tv'"
    with pytest.raises(ValueError, match=told):
        nms(torch.zeros(2, 4), torch.zeros(2), 0.5)
    with pytest.raises(ValueError, match=told):
        roi_align(torch.zeros(1, 1, 2, 2), torch.zeros(1, 5), 1)


def test_a_torchvision_for_another_torch_is_not_taken(bare, tmp_path):
    bare.delitem(sys.modules, 'torchvision')
    (tmp_path / 'torchvision.py').write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    bare.syspath_prepend(tmp_path)
    install_compiled_mmcv(bare)
    assert kernels_for('cuda').name == 'mmcv'
    bare.setenv('MMPS_OPS', 'torchvision')
    with pytest.raises(ImportError, match='torchvision::nms does not exist'):
        kernels_for('cpu')


def test_a_torchvision_without_cuda_is_not_taken(bare):
    ops = install_torchvision(bare)

    def nms_of_the_cpu(*args):
        raise NotImplementedError("Could not run 'torchvision::nms'\n...")

    bare.setattr(ops, 'nms', nms_of_the_cpu)
    with pytest.warns(UserWarning, match="Could not run 'torchvision::nms';"):
        assert kernels_for('cuda') is None


def test_deterministic_algorithms_are_ours(bare):
    install_torchvision(bare)
    on_gpu = SimpleNamespace(is_cuda=True, device=torch.device('cuda'))
    assert module._kernels(on_gpu, [0]).name == 'torchvision'
    bare.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert module._kernels(on_gpu, [0]) is None


def test_the_report(bare):
    assert describe_operators('cpu') == 'plain torch of mmps on cpu'
    bare.setattr(torch, '__version__', '2.13.0+cu130')
    with pytest.warns(UserWarning, match='plain torch'):
        text = describe_operators('cuda')
    assert text.startswith('plain torch of mmps on cuda; this is slow: ')
    assert "pip install 'torchvision==0.28.*'" in text
    bare.setenv('MMPS_OPS', 'torch')
    text = describe_operators('cuda')
    assert text == 'plain torch of mmps on cuda, forced by MMPS_OPS'


def test_the_report_with_other_sets(bare):
    install_compiled_mmcv(bare)
    bare.setattr(torch.cuda, 'is_available', lambda: True)
    assert describe_operators() == f'mmcv {mmcv.__version__} on cuda'
    choice._found.clear()
    install_torchvision(bare)
    assert describe_operators() == (
        "torchvision 0.0+loops on cuda, and mmcv's NMS in the RPN of mmdet"
    )
    bare.setenv('MMPS_OPS', 'torchvision')
    assert describe_operators('cpu') == (
        'torchvision 0.0+loops on cpu, forced by MMPS_OPS'
    )
