import copy
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict

from mmps.checkpoints import CheckpointError
from mmps.engine import StrictLoadHook
from tests.distillation.networks import network, network_config

from .toy import make_config, train, validation

CONFIGS = Path(__file__).parents[2] / 'configs'
NUMBER = itertools.count()  # mmengine wants a new name for each run
#: What a query-guided network has and a plain one has not.
GUIDED = ('backbone.gates.', 'rpn_head.gate.', 'rpn_head.qrpn_', 'sim_head.')


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


def test_what_only_training_needs_keeps_its_values(trained, tmp_path, capsys):
    def leave_out(content):
        for key in [k for k in content['state_dict'] if k.startswith('head.')]:
            del content['state_dict'][key]

    path = rewritten(trained, tmp_path, leave_out)
    runner = for_testing(tmp_path, path)
    runner.model.head.training_only = True
    before = weights_of(runner)
    runner.load_or_resume()
    loaded = torch.load(path)['state_dict']
    assert 0 < len(loaded) < len(before)
    for key, value in weights_of(runner).items():
        assert torch.equal(value, loaded.get(key, before[key])), key
    printed = ''.join(capsys.readouterr())
    assert 'Loads checkpoint by' in printed
    assert 'do not match' not in printed


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


# --- a query-guided network starts from a plain one


def guided_config(depth):
    """Small; as the plain one of the same depth, and guided."""
    model = network_config(depth, oim=True)
    model.type = 'QEEPS'
    for part, kind in (
        ('backbone', 'QSSEResNet'),
        ('rpn_head', 'QRPNHead'),
        ('roi_head', 'QEEPSRoIHead'),
    ):
        model[part].type = kind
    model.roi_head.sim_head = dict(type='QSimHead', feat_dim=8)
    return model


def started(tmp_path, depth, plain_depth, change=None):
    """Load a plain network as the configs do; the runner, the weights."""
    plain = network(network_config(plain_depth, oim=True), seed=5)
    state = dict(plain.state_dict())
    if change is not None:
        change(state)
    path = tmp_path / 'oim.pth'
    torch.save({'state_dict': state}, path)
    runtime = Config.fromfile(CONFIGS / '_base_/pair_runtime.py')
    hook = runtime.default_hooks.strict_load
    assert hook.allow
    runner = Runner(
        model=guided_config(depth),
        work_dir=str(tmp_path),
        default_hooks=dict(strict_load=copy.deepcopy(hook)),
        load_from=str(path),
        experiment_name=f'guided{next(NUMBER)}',
        default_scope='mmdet',
    )
    before = weights_of(runner)
    try:
        runner.load_or_resume()
    except CheckpointError:
        for key, value in runner.model.state_dict().items():
            assert torch.equal(value, before[key])
        raise
    return runner, state


@pytest.mark.parametrize('depth', [18, 50])
def test_all_keys_of_a_guided_network_are_told_by_their_origin(
    depth, tmp_path
):
    runner, state = started(tmp_path, depth, depth)
    keys = runner.model.state_dict()
    new = {key for key in keys if any(part in key for part in GUIDED)}
    assert keys.keys() - new == state.keys()
    for key in keys.keys() - new:
        assert torch.equal(keys[key], state[key]), key
    log = next(tmp_path.glob('*/*.log')).read_text()
    (report,) = log.split(f'{tmp_path}/oim.pth: ')[1:]
    report = ' '.join(report.split())

    def number(prefix, among=keys):
        return sum(key.startswith(prefix) for key in among)

    expected = [
        f'{len(state)} of {len(keys)} keys of the model come from the '
        'checkpoint from the checkpoint: ',
        *(
            f'{part} ({number(part, state)} of {number(part)})'
            for part in ('backbone', 'rpn_head', 'roi_head')
        ),
        f'new: backbone.gates ({number("backbone.gates")}), ',
        *(
            f'{part} ({number(part)})'
            for part in ('rpn_head.gate', 'roi_head.sim_head')
        ),
        'rpn_head.qrpn_conv (2)',
        'rpn_head.qrpn_cls (2)',
    ]
    for part in expected:
        assert part in report
    assert len(new) == sum(
        number(part) for part in (*GUIDED[:3], 'roi_head.sim_head')
    )
    assert 'not used' not in report
    assert 'WARNING' in log


@pytest.mark.parametrize(('depth', 'other'), [(18, 50), (50, 18)])
def test_a_guided_network_refuses_a_plain_one_of_another_depth(
    depth, other, tmp_path
):
    with pytest.raises(CheckpointError) as caught:
        started(tmp_path, depth, other)
    message = str(caught.value)
    assert message.startswith(
        f'{tmp_path}/oim.pth: does not fit this QEEPS: backbone is a '
        f'ResNet-{depth} in the model and a ResNet-{other} in the checkpoint; '
    )
    assert 'same depth' in message
    assert 'allow' not in message
    assert '\n' not in message


@pytest.mark.parametrize(
    ('change', 'problem'),
    [
        (
            lambda state: state.pop('rpn_head.rpn_cls.bias'),
            '1 are missing, 0 are unexpected, 0 differ in shape\n'
            '  missing     rpn_head.rpn_cls.bias\n',
        ),
        (
            lambda state: state.update(extra=torch.ones(1)),
            '0 are missing, 1 are unexpected, 0 differ in shape\n'
            '  unexpected  extra\n',
        ),
        (
            lambda state: state.update(
                {'roi_head.oim_head.loss_oim.table': torch.ones(4, 8)}
            ),
            '1 differ in shape\n  shape       roi_head.oim_head.loss_oim.'
            'table: model [3, 8], checkpoint [4, 8]\n',
        ),
    ],
    ids=['missing', 'unexpected', 'shape'],
)
def test_anything_else_that_differs_from_the_plain_network_is_an_error(
    change, problem, tmp_path
):
    with pytest.raises(CheckpointError) as caught:
        started(tmp_path, 18, 18, change)
    assert problem in str(caught.value)
    assert 'keys that may differ' in str(caught.value)


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


def test_what_published_weights_leave_out_starts_fresh():
    model = network(network_config(oim=True), seed=5)
    other = network(network_config(oim=True), seed=6).state_dict()
    kept = {k: v for k, v in other.items() if 'loss_oim' not in k}
    checkpoint = {'state_dict': kept}
    told = []
    logger = SimpleNamespace(info=told.append, warning=told.append)
    runner = SimpleNamespace(
        model=model, logger=logger, _load_from='zoo://x', _resume=False
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    StrictLoadHook().after_load_checkpoint(runner, checkpoint)
    assert told == [
        'zoo://x: published weights; 4 keys that only training needs start '
        'fresh'
    ]
    # mmengine finds nothing missing, so it warns of nothing
    load_state_dict(model, checkpoint['state_dict'], strict=True)
    for key, value in model.state_dict().items():
        origin = before if 'loss_oim' in key else other
        assert torch.equal(value, origin[key]), key
    # a part of it is a damaged file
    del checkpoint['state_dict']['roi_head.oim_head.loss_oim.queue']
    with pytest.raises(CheckpointError, match=r'missing +roi_head.*queue'):
        StrictLoadHook().after_load_checkpoint(runner, checkpoint)
