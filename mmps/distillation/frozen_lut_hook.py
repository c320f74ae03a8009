"""KD_reid: the student learns against the teacher's lookup table.

Source: Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019, section 4.2.
"""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor

from mmps.checkpoints import CheckpointError
from mmps.engine import unwrapped_model
from mmps.models import OIMLoss

from .identity_table import IdentityTable, read_table

#: A resumed table may differ this much from the teacher's: another machine
#: normalises in another order.
_TOLERANCE = 1e-5


@HOOKS.register_module()
class FrozenLUTHook(Hook):
    """Copies the teacher's table into the student and keeps it fixed.

    Before training the table is read, checked against the identities of the
    training set (rows in another order are permuted), normalised and frozen;
    no teacher network runs, and the queue stays live. Then the hook watches:
    training stops if the table ever changes.

    A resumed run goes on with the table of its checkpoint, which must be the
    teacher's.

    Args:
        teacher: Path or address of a training checkpoint or of a table file
            of ``mmps lut``; ``zoo://NAME`` for a released table.
        trust_order: Whether a table without identity names may be used as it
            is: row r is then taken to be identity r of the training set.
    """

    def __init__(self, teacher: str, trust_order: bool = False) -> None:
        self.teacher = teacher
        self.trust_order = trust_order
        # loss, its frozen table, a copy of that
        self._watched: list[tuple[OIMLoss, Tensor, Tensor]] = []
        self._last_seen: list[tuple[int, int, bool]] = []

    def before_train(self, runner: Runner) -> None:
        """Read, check and freeze.

        Raises:
            CheckpointError: The table cannot be read or belongs to other
                people, or a resumed run had another one.
            ValueError: The student has no table, or asks to update it.
        """
        model = unwrapped_model(runner)
        losses = [m for m in model.modules() if isinstance(m, OIMLoss)]
        if not losses:
            raise ValueError(
                f'FrozenLUTHook: the student, a {type(model).__name__} '
                'without OIMLoss, has no lookup table to freeze; use a '
                'config of configs/oim, or remove the hook'
            )
        table = read_table(self.teacher)
        names = runner.train_dataloader.dataset.metainfo.get('identity_names')
        self._watched = []
        for loss in losses:
            rows, moved = table.for_identities(
                names, *loss.table.shape, trust_order=self.trust_order
            )
            rows = rows.to(loss.table)
            if runner.iter > 0:
                rows = self._resumed(loss, rows)
            loss.freeze(rows)
            self._watched.append((loss, loss.table, rows.clone()))
            print_log(self._report(table, moved, names), logger='current')
        self._last_seen = self._versions()

    def _resumed(self, loss: OIMLoss, rows: Tensor) -> Tensor:
        """Return the table of the checkpoint, if it is the teacher's."""
        apart = float((loss.table - rows).abs().max())
        if apart > _TOLERANCE:
            changed = (loss.table - rows).abs().amax(dim=1) > _TOLERANCE
            raise CheckpointError(
                self.teacher,
                f'is not the table that this run was started with: '
                f'{int(changed.sum())} of {len(rows)} rows differ, by up to '
                f'{apart:.2g}',
                'Resume with the same teacher',
            )
        return loss.table.clone()

    def _report(
        self, table: IdentityTable, moved: int, names: list[str] | None
    ) -> str:
        norms = table.rows.norm(dim=1)
        order = f'names agree, {moved} rows moved to their order'
        if table.names is None or names is None:
            order = 'no names, their order is trusted'
        return (
            f'FrozenLUTHook: {len(table.rows)} identities x '
            f'{table.rows.shape[1]} from {self.teacher} ({table.origin}); '
            f'norms {norms.min():.3f} to {norms.max():.3f}, now 1; {order}; '
            'the table is frozen'
        )

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """See that no one has written to the table; costs nothing."""
        if self._versions() != self._last_seen:
            self._compare()
            self._last_seen = self._versions()

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare every value."""
        self._compare()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare every value before it is saved."""
        self._compare()

    def _versions(self) -> list[tuple[int, int, bool]]:
        """What changes when someone replaces, writes to or frees a table."""
        return [
            (id(loss.table), loss.table._version, loss.frozen)
            for loss, _, _ in self._watched
        ]

    def _compare(self) -> None:
        for loss, table, rows in self._watched:
            same = loss.table is table and torch.equal(table, rows)
            if not same or not loss.frozen:
                changed = int((loss.table != rows).any(dim=1).sum())
                raise RuntimeError(
                    f'FrozenLUTHook: the frozen lookup table has changed '
                    f'({changed} of {len(rows)} rows): something else in this '
                    'run writes to it or has unfrozen it; training stops'
                )
