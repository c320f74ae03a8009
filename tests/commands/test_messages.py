"""Errors as people read them."""

import pickle

import pytest
from mmengine.registry import Registry
from torch.utils.data import DataLoader

from mmps.commands.messages import describe
from mmps.datasets import DatasetError
from mmps.evaluation.scoring import check_options

MORE = '\n(--traceback shows where this was noticed)'
THINGS = Registry('things', scope='mmps_test')


def caught(raising, *args, **options):
    with pytest.raises(Exception) as error:  # noqa: PT011 - any
        raising(*args, **options)
    return error.value


class Broken:
    """A data set whose photograph cannot be read."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise DatasetError('s1.jpg', 'is no image', 'find all such files')


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_a_data_worker_names_the_file(workers):
    loader = DataLoader(Broken(), num_workers=workers)
    error = caught(next, iter(loader))
    assert isinstance(error, DatasetError)
    assert describe(error) == 's1.jpg: is no image; find all such files'


def test_what_mmps_refuses_is_all_there_is_to_say():
    error = caught(
        check_options, det_thr=2, protocols=None, duplicates='', cbgm=None
    )
    assert describe(error) == 'det_thr must be in [0, 1], got 2'


@pytest.mark.parametrize(
    ('raising', 'expected'),
    [
        (lambda: int('x'), "invalid literal for int() with base 10: 'x'"),
        (lambda: {}['x'], "key 'x' is missing"),
        (
            lambda: THINGS.build(dict(type='Nothing')),
            'Nothing is not in the mmps_test::things registry. ',
        ),
    ],
)
def test_what_others_refuse_has_a_way_to_the_traceback(raising, expected):
    text = describe(caught(raising))
    assert text.startswith(expected)
    assert text.endswith(MORE)


def test_a_file_that_cannot_be_opened(tmp_path):
    path = tmp_path / 'none'
    error = caught(open, path)
    assert describe(error) == f'{path}: No such file or directory'


class Parent:
    def __init__(self, *, width=1):
        self.width = width


@THINGS.register_module()
class Child(Parent):
    def __init__(self, *, depth=1, **options):
        super().__init__(**options)
        self.depth = depth


@pytest.mark.parametrize(
    ('key', 'hint'), [('dept', ". Did you mean 'depth'?"), ('x', '')]
)
def test_an_unknown_key_of_a_config_is_told_with_those_there_are(key, hint):
    error = caught(THINGS.build, {'type': 'Child', key: 1})
    assert describe(error).splitlines() == [
        f'Child takes no {key!r}{hint}',
        'It takes depth, width',
    ]


def test_an_error_can_be_sent_and_made_anew_from_its_message():
    error = DatasetError('a', 'b', 'c')
    assert str(pickle.loads(pickle.dumps(error))) == 'a: b; c'
    assert str(DatasetError(str(error))) == 'a: b; c'
    assert isinstance(error, ValueError)
