"""``mmps test`` refuses weights of another network."""

import itertools

import pytest
import torch

NUMBER = itertools.count()  # mmengine wants a new name for each run
CONV = 'backbone.conv1.weight'


@pytest.fixture
def tested(command, oim, tmp_path):
    """Tests with changed weights: code, errors, and keys that were good."""

    def run(change):
        state = torch.load(oim.weights)['state_dict']
        before = dict(state)
        change(state)
        path = tmp_path / 'changed.pth'
        torch.save(dict(state_dict=state), path)
        out = tmp_path / 'figures.json'
        code, _, error = command(
            *('test', oim.config, path, '--out', out),
            *('--work-dir', tmp_path, '--cfg-options'),
            f'experiment_name=wrong{next(NUMBER)}',
        )
        assert not out.exists()
        good = sum(
            key in state and state[key].shape == value.shape
            for key, value in before.items()
        )
        return code, error, good, len(before)

    return run


@pytest.mark.parametrize('share', [0.0, 0.5, 0.99])
def test_a_share_of_the_keys_is_not_enough(share, tested):
    def rename(state):
        for key in list(state)[round(share * len(state)) :]:
            state[f'other.{key}'] = state.pop(key)

    code, error, good, number = tested(rename)
    assert good == round(share * number)
    assert code == 2
    text = ' '.join(error.split())
    assert 'changed.pth: does not fit this PersonSearchRCNN: ' in text
    assert f'{good} keys match, ' in text
    assert f'{number - good} are unexpected, 0 differ in shape' in text
    assert error.count('\n  missing ') > 0
    assert error.count('\n  unexpected ') > 0
    assert 'Check that config and checkpoint belong together' in text


def test_one_wrong_shape_is_too_many(tested):
    code, error, good, number = tested(
        lambda state: state.update({CONV: state[CONV][:, :2].clone()})
    )
    assert (code, good) == (2, number - 1)
    assert f'{good} keys match, 0 are missing, 0 are unexpected' in error
    assert f'shape       {CONV}: model [8, 3, 7, 7], checkpoint [8, ' in error
