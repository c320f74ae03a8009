"""Who the rows of a published lookup table are.

Symbols used in this file:
    P   rows of the table

SeqNet and its relatives number the people of the training half from 1, and
row i of their table is number i + 1. For CUHK-SYSU that is the order of
Train.mat. For PRW they take the numbers of the annotations and 482 rows, but
the training half has the people 1 to 478, 480 to 483 and 932: row 478 was
never written to, and 483 and 932 have no row.
"""

from collections.abc import Sequence

from torch import Tensor

from mmps.checkpoints import CheckpointError
from mmps.distillation import IdentityTable

#: Rows of the tables that the data sets' authors' files have.
_ROWS = {'cuhk-sysu': 5532, 'prw': 482}
#: A test person of PRW whose row was never written to.
_NOT_TRAINED = 479
#: Training people of PRW without a row.
PRW_WITHOUT_ROW = ('483', '932')


def check_dataset(rows: int, dataset: str, source: object) -> None:
    """Refuse a table that has the size of the other data set's.

    Args:
        rows: P.
        dataset: 'cuhk-sysu' or 'prw'.
        source: Named in the error.

    Raises:
        CheckpointError: It has.
    """
    for other, number in _ROWS.items():
        if other != dataset and rows == number:
            raise CheckpointError(
                source,
                f'its lookup table has {rows} rows, as networks of {other} '
                f'have, not {dataset}',
                f'Give --dataset {other}',
            )


def identity_table(
    rows: Tensor,
    dataset: str,
    names: Sequence[str] | None,
    source: object,
    origin: str,
) -> IdentityTable:
    """Give the rows of a published table their names.

    Args:
        rows: (P, D) floats.
        dataset: 'cuhk-sysu' or 'prw'.
        names: P names, in the order of Train.mat; not used for PRW.
        source: File, for messages.
        origin: How the table came about; is written into a table file.

    Returns:
        The table; of PRW without the row of a person who was not trained.

    Raises:
        CheckpointError: P is not the number of people.
    """
    if dataset == 'prw':
        expected = _ROWS['prw']
        names = [str(number) for number in range(1, expected + 1)]
        kept = [n for n in range(expected) if n + 1 != _NOT_TRAINED]
        hint = 'Leave out --table: whose rows these are is not known'
    else:
        expected = len(names)
        kept = list(range(expected))
        hint = 'Give the data that it was trained on as --data-root'
    if len(rows) != expected:
        raise CheckpointError(
            source,
            f'its lookup table has {len(rows)} rows, {dataset} has {expected}',
            hint,
        )
    return IdentityTable(
        rows[kept].float(),
        tuple(names[row] for row in kept),
        str(source),
        origin,
    )
