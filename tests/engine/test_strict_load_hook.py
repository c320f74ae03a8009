import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.runner import Runner

from mmps.engine import CheckpointError

from .toy import make_config, train, validation


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    train(work_dir, **{'train_cfg.max_epochs': 2})
    return work_dir / 'epoch_2.pth'


def for_testing(work_dir, path, **changes):
    cfg = validation([0.5] * 3)
    cfg = {
        name.replace('val', 'test', 1): value for name, value in cfg.items()
    }
    return Runner.from_cfg(
        make_config(work_dir, load_from=str(path), **cfg, **changes)
    )


def weights_of(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def rewritten(trained, tmp_path, change):
    content = torch.load(trained)
    change(content)
    path = tmp_path / 'changed.pth'
    torch.save(content, path)
    return path


def rename(keys):
    def change(content):
        state = content['state_dict']
        for key in list(state)[:keys]:
            state[f'other.{key}'] = state.pop(key)

    return change


@pytest.mark.parametrize('wrong', [1, 4, 9])
def test_testing_refuses_a_model_that_does_not_fit(wrong, trained, tmp_path):
    path = rewritten(trained, tmp_path, rename(wrong))
    runner = for_testing(tmp_path, path)
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    before = weights_of(runner)
    with pytest.raises(CheckpointError) as caught:
        runner.load_or_resume()
    assert f'{path}: does not fit this ToyModel' in str(caught.value)
    assert f'{wrong} are unexpected' in str(caught.value)
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, before[key])


def test_testing_a_model_that_fits(trained, tmp_path):
    runner = for_testing(tmp_path, trained)
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.load_or_resume()
    expected = torch.load(trained)['state_dict']
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, expected[key])


def test_another_width_is_refused_by_shape(trained, tmp_path):
    with pytest.raises(
        CheckpointError, match=r'head\.1\.bias: model \[1\], checkpoint \[4\]'
    ):
        train(tmp_path, load_from=str(trained), **{'model.width': 1})


def test_fine_tuning_lists_what_may_differ(trained, tmp_path):
    fine_tune = {
        'load_from': str(trained),
        'model.width': 1,
        'default_hooks.strict_load.allow': ['head.'],
        'optim_wrapper.optimizer.lr': 0.0,
    }
    runner = train(tmp_path, **fine_tune)
    expected = torch.load(trained)['state_dict']
    assert torch.equal(
        runner.model.state_dict()['backbone.0.weight'],
        expected['backbone.0.weight'],
    )
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'shape       head.1.weight: model [1, 8]' in log
    with pytest.raises(CheckpointError):  # never when resuming
        train(tmp_path, resume=True, **{**fine_tune, 'model.width': 2})


def test_the_list_of_prefixes_is_a_list():
    with pytest.raises(TypeError, match="got 'head'"):
        HOOKS.build(dict(type='StrictLoadHook', allow='head'))


def test_other_hooks_see_nothing_of_a_refused_checkpoint(trained, tmp_path):
    path = rewritten(trained, tmp_path, rename(2))
    runner = for_testing(
        tmp_path, path, custom_hooks=[dict(type='EMAHook', priority='HIGH')]
    )
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.call_hook('before_run')
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    before = {k: v.clone() for k, v in ema.ema_model.state_dict().items()}
    with pytest.raises(CheckpointError):
        runner.load_or_resume()
    for key, value in ema.ema_model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize('part', ['optimizer', 'message_hub', 'meta'])
def test_weights_alone_cannot_be_resumed_from(part, trained, tmp_path):
    path = rewritten(trained, tmp_path, lambda content: content.pop(part))
    with pytest.raises(CheckpointError, match=f'it has no {part}.*load_from'):
        train(tmp_path, load_from=str(path), resume=True)


def test_text_in_a_checkpoint_never_runs(trained, tmp_path):
    canary = tmp_path / 'canary'

    def infect(content):
        code = f'open({str(canary)!r}, "w").close()\na = 1'
        content['meta']['config'] = content['meta']['cfg'] = code
        content['message_hub']['runtime_info']['cfg'] = code

    path = rewritten(trained, tmp_path, infect)
    runner = train(tmp_path, load_from=str(path), resume=True)
    assert runner.iter == 9
    assert not canary.exists()
    hub = runner.message_hub.get_info('cfg')
    assert 'canary' not in hub
    assert 'ToyModel' in hub


def test_the_infection_above_would_have_worked(tmp_path):
    from mmengine.config import Config

    canary = tmp_path / 'canary'
    code = f'open({str(canary)!r}, "w").close()\na = 1'
    Config.fromstring(code, file_format='.py')
    assert canary.exists()
