import pytest
import torch

from mmps.checkpoints import CheckpointError
from mmps.published import identity_table
from mmps.published.identities import PRW_WITHOUT_ROW, check_dataset


def table(rows, dataset, names=None):
    return identity_table(rows, dataset, names, 'x.pth', 'a test')


def test_rows_of_cuhk_sysu_are_named_in_the_order_of_the_file():
    rows = torch.randn(3, 4, dtype=torch.float16)
    names = ['p8', 'p2', 'p5']
    result = table(rows, 'cuhk-sysu', names)
    assert result.names == ('p8', 'p2', 'p5')
    assert torch.equal(result.rows, rows.float())
    assert (result.source, result.origin) == ('x.pth', 'a test')


def test_rows_of_prw_are_numbers():
    """Row i is person i + 1: number 1 in the first, 482 in the last."""
    rows = torch.arange(1.0, 483)[:, None].expand(482, 2)
    result = table(rows, 'prw')
    numbers = [int(name) for name in result.names]
    assert torch.equal(result.rows[:, 0], torch.tensor(numbers).float())
    assert '479' not in result.names
    assert len(set(numbers)) == 481
    assert (min(numbers), max(numbers)) == (1, 482)


def test_people_of_prw_without_a_row():
    """All that the training half has, as docs/datasets.md counts it."""
    people = {*range(1, 479), *range(480, 484), 932}
    names = table(torch.ones(482, 2), 'prw').names
    assert {str(n) for n in people} - set(names) == set(PRW_WITHOUT_ROW)
    assert set(names) < {str(n) for n in people}


@pytest.mark.parametrize(
    ('dataset', 'names', 'match'),
    [
        ('prw', None, '5 rows, prw has 482. Leave out --table'),
        ('cuhk-sysu', ['a', 'b'], '5 rows, cuhk-sysu has 2. .*--data-root'),
    ],
)
def test_another_number_of_people_is_refused(dataset, names, match):
    with pytest.raises(CheckpointError, match=match):
        table(torch.ones(5, 2), dataset, names)


def test_the_table_of_the_other_data_set_is_noticed():
    check_dataset(5532, 'cuhk-sysu', 'x')
    check_dataset(482, 'prw', 'x')
    check_dataset(150, 'cuhk-sysu', 'x')
    check_dataset(150, 'prw', 'x')
    for rows, given, meant in (
        (482, 'cuhk-sysu', 'prw'),
        (5532, 'prw', 'cuhk-sysu'),
    ):
        with pytest.raises(CheckpointError, match=f'Give --dataset {meant}'):
            check_dataset(rows, given, 'x')
