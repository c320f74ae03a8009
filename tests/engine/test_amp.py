import logging

import pytest
import torch
from mmengine.config import Config

from mmps.engine import amp, enable_amp

from .toy import ToyModel, train


def config(**optim_wrapper):
    return Config(dict(optim_wrapper=optim_wrapper))


@pytest.mark.parametrize(
    ('gpu', 'expected'),
    [(False, 'CPUAmpOptimWrapper'), (True, 'AmpOptimWrapper')],
)
def test_the_wrapper_follows_the_device(gpu, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    cfg = config(type='OptimWrapper', clip_grad=dict(max_norm=10))
    enable_amp(cfg)
    enable_amp(cfg)  # twice is once
    assert cfg.optim_wrapper.type == expected
    assert cfg.optim_wrapper.clip_grad.max_norm == 10
    assert ('loss_scale' in cfg.optim_wrapper) == gpu


@pytest.mark.parametrize('gpu', [False, True])
def test_bfloat16_needs_no_loss_scale(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    cfg = config(type='OptimWrapper')
    enable_amp(cfg, 'bf16')
    if gpu:
        assert cfg.optim_wrapper == dict(
            type='AmpOptimWrapper', dtype='bfloat16', loss_scale=1.0
        )
    else:
        assert cfg.optim_wrapper == dict(type='CPUAmpOptimWrapper')


@pytest.mark.parametrize(
    ('dtype', 'message'),
    [('fp16', 'needs a GPU'), ('half', "one of .*'bf16'.*got 'half'")],
)
def test_what_cannot_be_had_is_refused(dtype, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match=message):
        enable_amp(config(type='OptimWrapper'), dtype)


@pytest.mark.parametrize('native', [False, True])
def test_a_processor_that_only_emulates_it_is_warned_about(
    native, monkeypatch
):
    said = []
    monkeypatch.setattr(amp, 'has_bfloat16', lambda: native)
    monkeypatch.setattr(amp, 'print_log', lambda *a: said.append(a))
    weights = torch.nn.Linear(2, 2).parameters()
    amp.CPUAmpOptimWrapper(torch.optim.SGD(weights, 0.1))
    assert len(said) == (not native)
    for message, logger, level in said:
        assert 'Train without --amp' in message
        assert (logger, level) == ('current', logging.WARNING)


def test_other_wrappers_are_refused():
    with pytest.raises(ValueError, match="'ApexOptimWrapper'"):
        enable_amp(config(type='ApexOptimWrapper'))


def test_the_forward_pass_is_bfloat16_and_the_weights_are_not(
    tmp_path, monkeypatch
):
    seen = set()
    forward = ToyModel.forward

    def watched(self, inputs, *args, **kwargs):
        seen.add(self.backbone[0](inputs[0][None]).dtype)
        return forward(self, inputs, *args, **kwargs)

    monkeypatch.setattr(ToyModel, 'forward', watched)
    wrapper = {'optim_wrapper.type': 'CPUAmpOptimWrapper'}
    runner = train(tmp_path, **wrapper)
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in runner.model.parameters()} == {torch.float32}
