"""The lookup table that passes from a teacher to a student.

Symbols used in this file:
    P   labelled training identities = rows of the table
    D   size of an embedding

A table is read from a training checkpoint, or from a small file of its own,
which is also what the zoo has:

    table            (P, D) float16 or float32
    identity_names   list of P strings, row by row
    origin           a string: how it was made

Source: Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019, sections 4.2 and 6.1.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmps.checkpoints import CheckpointError, write_atomically
from mmps.models.oim_loss import names_in_state
from mmps.zoo import is_address, table_file

_SHOWN = 5
_TABLE_KEY = 'loss_oim.table'
_NAMES_KEY = 'loss_oim._extra_state'


@dataclass(frozen=True)
class IdentityTable:
    """One embedding per training identity.

    Attributes:
        rows: (P, D) float32, as in the file: of any length.
        names: P identity names, or None if the file has none.
        source: Path or address, for messages.
        origin: What kind of file it was, or how the table was made.
    """

    rows: Tensor
    names: tuple[str, ...] | None
    source: str
    origin: str

    def normalised(self) -> Tensor:
        """(P, D) float32, rows of unit length."""
        return F.normalize(self.rows, dim=1)

    def for_identities(
        self,
        names: Sequence[str] | None,
        num_ids: int,
        feat_dim: int,
        trust_order: bool = False,
    ) -> tuple[Tensor, int]:
        """Bring the rows into the order of a student's identities.

        Args:
            names: Identity names of the student's rows, None if unknown.
            num_ids: P of the student.
            feat_dim: D of the student.
            trust_order: Whether a table without names may be used: row r is
                then taken to be the student's identity r.

        Returns:
            (P, D) float32, rows of unit length; how many rows have moved.

        Raises:
            CheckpointError: P, D or the identities differ, or either side has
                no names; says which and how many.
        """
        if self.rows.shape[1] != feat_dim:
            raise self._error(
                f'its rows have {self.rows.shape[1]} values, the embeddings '
                f'of the student {feat_dim}',
                'Set model.roi_head.oim_head.feat_dim to that of the teacher',
            )
        if len(self.rows) != num_ids:
            raise self._error(
                f'it has {len(self.rows)} identities, the student {num_ids}',
                'Teacher and student must be trained on the same identities',
            )
        if self.names is None or names is None:
            if not trust_order:
                side = 'the table' if self.names is None else 'the data set'
                raise self._error(
                    f'{side} has no identity names, so its rows could '
                    'belong to other people',
                    'If you know that their order is the same, use '
                    'FrozenLUTHook(trust_order=True)',
                )
            return self.normalised(), 0
        here, there = set(self.names), set(names)
        if here != there:
            raise self._error(
                f'{len(there - here)} identities of the student are not in '
                f'the table ({_some(there - here)}), {len(here - there)} of '
                f"the table are not the student's ({_some(here - there)})",
                'Teacher and student must be trained on the same identities',
            )
        row_of = {name: row for row, name in enumerate(self.names)}
        order = torch.tensor([row_of[name] for name in names])
        moved = int((order != torch.arange(num_ids)).sum())
        return self.normalised()[order], moved

    def _error(self, problem: str, hint: str) -> CheckpointError:
        return CheckpointError(self.source, problem, hint)


def read_table(source: str | Path) -> IdentityTable:
    """Read and check a table.

    Args:
        source: Path or address of a training checkpoint or of a table file;
            ``zoo://NAME`` is the table file of that entry.

    Raises:
        CheckpointError: The file cannot be read, has no table, or the table
            has rows that are zero or not finite (they are named).
    """
    place = str(source)
    if is_address(source):
        place = str(table_file(place))
    checkpoint = CheckpointLoader.load_checkpoint(place, 'cpu')
    if isinstance(checkpoint.get('table'), Tensor):
        rows, names = checkpoint['table'], checkpoint.get('identity_names')
        origin = str(checkpoint.get('origin', 'a table file'))
    else:
        rows, names = _from_weights(
            checkpoint.get('state_dict', checkpoint), source
        )
        origin = f'lookup table of {Path(str(source)).name}'
    if rows.dim() != 2 or not (rows.is_floating_point() and rows.numel()):
        raise CheckpointError(
            source,
            f'its table is {rows.dtype} of shape {tuple(rows.shape)}, not '
            '(identities, embedding size) of floats',
        )
    if names and len(names) != len(rows):
        raise CheckpointError(
            source, f'has {len(names)} identity names for {len(rows)} rows'
        )
    if names and len(set(names)) < len(names):
        raise CheckpointError(source, 'has the same identity name twice')
    table = IdentityTable(
        rows.float(), tuple(names) if names else None, str(source), origin
    )
    check_rows(table)
    return table


def random_table(table: IdentityTable, seed: int) -> IdentityTable:
    """Rows of random directions for the same people.

    The control of an experiment with KD_reid: what a student gains from it
    does not come from what the teacher knows of anybody.

    Args:
        table: Whose people and size of rows it has.
        seed: Of the directions, which are uniform on the sphere.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(table.rows.shape, generator=generator)
    return IdentityTable(
        F.normalize(rows, dim=1),
        table.names,
        table.source,
        f'random rows, seed {seed}',
    )


def complete_table(
    table: IdentityTable, other: IdentityTable
) -> IdentityTable:
    """Take the rows that a table lacks from another of the same network.

    Networks of some other code bases keep no row for a few of the people that
    they were trained on, and a student needs a row of each.

    Args:
        table: With names.
        other: With names, of the same space of embeddings: that of
            ``mmps lut compute`` with the network of ``table``.

    Returns:
        The people of ``other``, in its order, with the rows of ``table``
        where it has them; rows of unit length.

    Raises:
        CheckpointError: One has no names, their rows differ in size, ``table``
            has people that ``other`` has not, or nothing is missing.
    """
    for one in (table, other):
        if one.names is None:
            raise CheckpointError(one.source, 'has no identity names')
    sizes = [one.rows.shape[1] for one in (table, other)]
    if sizes[0] != sizes[1]:
        raise CheckpointError(
            other.source,
            f'its rows have {sizes[1]} values, those of {table.source} '
            f'{sizes[0]}',
            'Compute it with the network that the table is of',
        )
    if strangers := set(table.names) - set(other.names):
        raise CheckpointError(
            other.source,
            f'{len(strangers)} identities of {table.source} are not in it '
            f'({_some(strangers)})',
            'Compute it on the training set of the student',
        )
    missing = set(other.names) - set(table.names)
    if not missing:
        raise CheckpointError(
            table.source, f'has all {len(other.names)} identities already'
        )
    row_of = {name: row for row, name in enumerate(table.names)}
    ours, theirs = table.normalised(), other.normalised()
    rows = [
        ours[row_of[name]] if name in row_of else theirs[row]
        for row, name in enumerate(other.names)
    ]
    return IdentityTable(
        torch.stack(rows),
        other.names,
        table.source,
        f'{table.origin}; {len(missing)} rows ({_some(missing)}) are of: '
        f'{other.origin}',
    )


def write_table(
    table: IdentityTable, path: str | Path, half: bool = False
) -> None:
    """Write a table file, rows of unit length.

    Args:
        table: With names.
        path: Ends in ``.pth``.
        half: Whether rows are stored in float16: half the size, cosines
            within 1e-3.

    Raises:
        CheckpointError: It has no names, or cannot be written.
    """
    if table.names is None:
        raise CheckpointError(
            table.source,
            'has no identity names, so a table of it could not be checked',
            'Train with IdentityNamesHook, which is in configs/_base_/'
            'default_runtime.py',
        )
    if Path(path).suffix != '.pth':
        raise CheckpointError(path, 'the name of a table file ends in .pth')
    check_rows(table)
    rows = table.normalised()
    buffer = io.BytesIO()
    torch.save(
        dict(
            table=rows.half() if half else rows,
            identity_names=list(table.names),
            origin=table.origin,
        ),
        buffer,
    )
    write_atomically(path, buffer.getvalue())


def describe(table: IdentityTable) -> str:
    """What there is to see of a table, in a few lines."""
    norms = table.rows.norm(dim=1)
    rows = table.normalised()
    cosines = rows @ rows.t()
    cosines.fill_diagonal_(-1)
    nearest = cosines.max(dim=1).values
    closest = int(nearest.argmax())
    pair = (closest, int(cosines[closest].argmax()))
    labels = [table.names[r] if table.names else f'row {r}' for r in pair]
    lines = [
        f'file        {table.source}',
        f'origin      {table.origin}',
        f'identities  {len(table.rows)}',
        f'embedding   {table.rows.shape[1]} values',
        f'names       {_some(table.names or ())}',
        f'norms       {norms.min():.4f} to {norms.max():.4f}',
    ]
    if len(rows) > 1:
        lines.append(
            f'cosines     to the most similar other identity: median '
            f'{nearest.median():.3f}, at most {nearest.max():.3f} '
            f'({" and ".join(labels)})'
        )
    return '\n'.join(lines)


def identity_names(state: Mapping[str, Tensor]) -> list[str] | None:
    """Names of the training identities among weights, None without."""
    for key, text in state.items():
        if key.endswith(_NAMES_KEY) and len(text):
            return list(names_in_state(text))
    return None


def _from_weights(state: dict, source) -> tuple[Tensor, list[str] | None]:
    """Table and identity names among the weights of a network."""
    keys = [key for key in state if key.endswith(_TABLE_KEY)]
    if len(keys) != 1:
        rcnn = any('roi_head.' in key for key in state)
        kind = 'a detector alone' if rcnn else 'another network'
        raise CheckpointError(
            source,
            f'has {len(keys)} lookup tables (keys that end in {_TABLE_KEY}), '
            f'one is needed: these are the weights of {kind}'
            if not keys
            else f'has {len(keys)} lookup tables, one is needed: {keys}',
            'Take an OIM or QEEPS teacher, a table file of `mmps lut '
            'extract`, or compute one from any embedding: `mmps lut compute`',
        )
    (key,) = keys
    return state[key], identity_names(state)


def check_rows(table: IdentityTable) -> None:
    """Refuse rows that say nothing of their identity.

    Raises:
        CheckpointError: Rows are zero or not finite; they are named.
    """
    for problem, bad in (
        ('not finite', ~table.rows.isfinite().all(dim=1)),
        ('zero', (table.rows == 0).all(dim=1)),
    ):
        rows = bad.nonzero().flatten().tolist()
        if rows:
            labels = [table.names[r] if table.names else r for r in rows]
            raise CheckpointError(
                table.source,
                f'{len(rows)} of {len(table.rows)} rows of its table are '
                f'{problem}: identities {_some(labels)}',
                'Every identity must have been seen in training; train the '
                'teacher longer or take another one',
            )


def _some(names: Iterable) -> str:
    """Name the first few."""
    names = sorted(map(str, names))
    if not names:
        return 'none'
    more = f', and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more


def compute_table(
    batches: Iterable[tuple[Tensor, Tensor]],
    names: Sequence[str],
    origin: str,
) -> IdentityTable:
    """Average the embeddings of every identity: for teachers without OIM.

    Args:
        batches: (n, D) embeddings of any length and (n,) long identity rows;
            people without identity, below 0, are left out.
        names: P identity names, row by row.
        origin: How the embeddings were made; is written into the table.

    Returns:
        Normalised means of the normalised embeddings.

    Raises:
        CheckpointError: An identity was never seen (it is named), or a mean
            is not finite.
    """
    sums = None
    for embeddings, ids in batches:
        embeddings = F.normalize(embeddings.double().cpu(), dim=1)
        ids = ids.long().cpu()
        if sums is None:
            sums = embeddings.new_zeros(len(names), embeddings.shape[1])
        sums.index_add_(0, ids[ids >= 0], embeddings[ids >= 0])
    if sums is None:
        raise CheckpointError(origin, 'there is no image to take people from')
    rows = F.normalize(sums, dim=1).float()
    table = IdentityTable(rows, tuple(names), origin, origin)
    check_rows(table)
    return table


def embeddings_of_people(
    embed: Callable[[dict], Sequence], batches: Iterable[dict]
) -> Iterable[tuple[Tensor, Tensor]]:
    """Embeddings and identities of annotated people, image by image.

    Args:
        embed: Takes what a data loader of a test set gives and returns its
            samples, with ``gt_instances.embeddings`` (n, D) and
            ``gt_instances.instances_ids`` (n,).
        batches: A data loader.

    Raises:
        ValueError: The network embeds no one.
    """
    for data in batches:
        with torch.no_grad():
            samples = embed(data)
        for sample in samples:
            people = sample.gt_instances
            if 'embeddings' not in people:
                raise ValueError(
                    'the network returns no gt_instances.embeddings, so it '
                    'cannot provide a table; a detector has no embeddings'
                )
            yield people.embeddings, people.instances_ids
