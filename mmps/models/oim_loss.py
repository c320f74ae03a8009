"""Online Instance Matching (OIM) loss.

Symbols used in this file:
    R   sampled RoIs of the mini-batch, all images together
    D   embedding size
    P   labelled training identities = rows of the lookup table V
    Q   slots of the circular queue U

Source: Xiao et al., "Joint Detection and Identification Feature Learning for
Person Search", CVPR 2017, section 3.2.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.dist import all_gather, all_reduce, get_world_size
from torch import Tensor, nn

from mmps.errors import InputError
from mmps.structures import BACKGROUND, UNLABELED

_FRESH = 'starts fresh: the file'


@MODELS.register_module()
class OIMLoss(nn.Module):
    """Cross entropy of an RoI embedding against remembered identities.

    The loss of a labelled RoI x with identity t is

        -log softmax([V x ; U x] / temperature)[t]

    where row v_t of the table V is a running mean of identity t, and the
    queue U holds the latest people without identity. Unlabelled people only
    enter the denominator and background RoIs are ignored, so neither adds a
    loss term of its own. V and U start at zero, hence the very first loss is
    ln(P + Q).

    After the loss, without gradients, every labelled RoI moves its row,

        v_t <- normalise(momentum * v_t + (1 - momentum) * x),

    RoIs of one identity one after another in RoI order, and every unlabelled
    person overwrites the oldest slot of the queue.

    A table that is frozen (``freeze``, or ``update_table=False``) stays as it
    is: the distillation of Munjal et al., BMVC 2019, section 4.2. The queue
    goes on as before.

    V, U and the queue position are buffers, and the identity names travel as
    extra state: no gradient reaches them, and all are saved, so that training
    resumes exactly.

    With several processes the mean is over the labelled RoIs of all of them
    and all of them make the same update, in rank order, so that N processes
    with b images each equal one process with N * b images. The returned
    value is this process's share: its average over the processes, which is
    what DistributedDataParallel makes of the gradients, is the loss of one
    process.

    Everything here runs in the precision of V (float32), also in autocast.

    On a GPU a step waits for the identities once, since which row moves when
    is worked out on the CPU; with several processes twice more.

    Args:
        num_ids: P. 5532 for CUHK-SYSU, 483 for PRW.
        feat_dim: D.
        queue_size: Q. 5000 for CUHK-SYSU, 500 for PRW.
        momentum: Share of the old row kept by an update, in [0, 1).
        temperature: Divides the cosine similarities; 0.1 multiplies by 10.
        loss_weight: Factor on the returned value; lambda_oim in Munjal et
            al., BMVC 2019.
        renormalise: Whether rows of V are rescaled to unit length after an
            update, as the paper's text says; its code does not.
        mask_empty: Whether rows of V and slots of U that were never written
            are left out of the denominator. The paper leaves this open; the
            default keeps them, as its code does.
        update_table: Whether V learns. None lets ``freeze`` decide: it does
            until then; True refuses to be frozen; False never moves a row.
    """

    #: Published weights come without table, queue and names.
    training_only = True
    #: Whether ``forward`` needs the overlaps of RoIs with their people.
    needs_overlaps = False

    def __init__(
        self,
        *,
        num_ids: int,
        feat_dim: int = 256,
        queue_size: int = 5000,
        momentum: float = 0.5,
        temperature: float = 0.1,
        loss_weight: float = 1.0,
        renormalise: bool = True,
        mask_empty: bool = False,
        update_table: bool | None = None,
    ) -> None:
        super().__init__()
        if num_ids < 1:
            raise ValueError(f'num_ids must be at least 1, got {num_ids}')
        if feat_dim < 1:
            raise ValueError(f'feat_dim must be at least 1, got {feat_dim}')
        if queue_size < 0:
            raise ValueError(f'queue_size must be >= 0, got {queue_size}')
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum must be in [0, 1), got {momentum}')
        if not temperature > 0:
            raise ValueError(f'temperature must be > 0, got {temperature}')
        self.momentum = momentum
        self.temperature = temperature
        self.loss_weight = loss_weight
        self.renormalise = renormalise
        self.mask_empty = mask_empty
        self.update_table = update_table
        self.identity_names: tuple[str, ...] = ()
        self.register_buffer('table', torch.zeros(num_ids, feat_dim))
        self.register_buffer('queue', torch.zeros(queue_size, feat_dim))
        self.register_buffer('queue_head', torch.zeros((), dtype=torch.long))

    def forward(
        self, embeddings: Tensor, ids: Tensor, overlaps: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss over labelled RoIs, then remember them.

        Args:
            embeddings: (R, D) float, rows of unit length.
            ids: (R,) long; row of V in [0, P), ``UNLABELED`` or
                ``BACKGROUND``. May be on the CPU, to share one copy between
                several calls.
            overlaps: (R,) IoU of each RoI with its person, for a loss that
                ``needs_overlaps``.

        Returns:
            Scalar in nats; 0 with a valid gradient if no RoI of any process
            is labelled.

        Raises:
            IndexError: An identity has no row in V.
        """
        ids = ids.numpy(force=True)  # waits for the GPU, once a step
        loss = self._compare(embeddings, ids)
        if self.training:
            self._remember(embeddings, ids, overlaps)
        return loss

    def compare(self, embeddings: Tensor, ids: Tensor) -> Tensor:
        """Return the loss as ``forward`` does; remember nothing."""
        return self._compare(embeddings, ids.numpy(force=True))

    def _compare(self, embeddings: Tensor, ids: np.ndarray) -> Tensor:
        self._check(embeddings, ids)
        (labelled,) = (ids >= 0).nonzero()
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(self.table.dtype)
            at, rows = _send(embeddings.device, labelled, ids[labelled])
            loss = self._cross_entropy(embeddings[at], rows)
            # The mean over all processes, whatever each has sampled.
            count = loss.new_full((), len(labelled))
            all_reduce(count)
            loss = loss * get_world_size() / count.clamp(min=1)
        return self.loss_weight * loss

    def _check(self, embeddings: Tensor, ids: np.ndarray) -> None:
        num_ids, feat_dim = self.table.shape
        if embeddings.shape != (len(ids), feat_dim):
            raise ValueError(
                f'embeddings must be ({len(ids)}, {feat_dim}) for {len(ids)} '
                f'ids and a table of {feat_dim} columns, got '
                f'{tuple(embeddings.shape)}'
            )
        wrong = ids[(ids >= num_ids) | (ids < BACKGROUND)]
        if len(wrong):
            raise IndexError(
                f'identity {wrong[0]} has no row in a table of {num_ids}; '
                'build the loss with the num_ids of the data set that feeds it'
            )

    def _cross_entropy(self, x: Tensor, rows: Tensor) -> Tensor:
        """Sum of the loss over RoIs x (n, D) of identities rows (n,)."""
        memory = torch.cat([self.table, self.queue])
        logits = x @ memory.t() / self.temperature
        if self.mask_empty:
            empty = (memory == 0).all(dim=1).expand_as(logits).clone()
            empty[torch.arange(len(rows), device=rows.device), rows] = False
            logits = logits.masked_fill(empty, float('-inf'))
        return F.cross_entropy(logits, rows, reduction='sum')

    @property
    def frozen(self) -> bool:
        """Whether rows of V stay as they are."""
        return self.update_table is False

    def freeze(self, table: Tensor) -> None:
        """Take over a table and never update it again.

        Args:
            table: (P, D) float, rows of unit length, in the order of this
                table's identities.

        Raises:
            ValueError: Another shape, or the config asks for updates.
        """
        if self.update_table:
            raise ValueError(
                'the lookup table cannot be frozen and updated: '
                'loss_oim.update_table=True asks for updates; leave it out '
                'or remove the FrozenLUTHook'
            )
        if table.shape != self.table.shape:
            raise ValueError(
                f'a table of shape {tuple(table.shape)} cannot replace one '
                f'of {tuple(self.table.shape)} (identities, embedding size)'
            )
        self.table.copy_(table.detach())
        self.update_table = False

    def remember(self, x: Tensor, ids: Tensor) -> None:
        """Move the rows of V and fill U; arguments as of ``forward``."""
        self._remember(x, ids.numpy(force=True))

    def _remember(
        self, x: Tensor, ids: np.ndarray, overlaps: Tensor | None = None
    ) -> None:
        self._move(x, ids, None)

    @torch.no_grad()
    def _move(
        self, x: Tensor, ids: np.ndarray, momentum: Tensor | None
    ) -> None:
        """Move the rows of V and fill U.

        Args:
            x: (R, D).
            ids: (R,).
            momentum: (R,), one for each RoI; None for ``self.momentum``.
        """
        x = x.detach().to(self.table.dtype)
        if momentum is not None:
            x = torch.cat([x, momentum[:, None]], dim=1)
        (kept,) = (
            ids == UNLABELED if self.frozen else ids != BACKGROUND
        ).nonzero()
        (at,) = _send(x.device, kept)
        x, ids = gather_rows(x[at], ids[kept])
        self._update_table(x, ids)
        (unlabelled,) = _send(x.device, (ids == UNLABELED).nonzero()[0])
        self._enqueue(x[unlabelled, : self.table.shape[1]])

    def _update_table(self, x: Tensor, ids: np.ndarray) -> None:
        """Move the rows; one step handles one RoI of every identity.

        Args:
            x: (n, D), or (n, D + 1) with the momentum of each RoI.
            ids: (n,).
        """
        dim = self.table.shape[1]
        (labelled,) = (ids >= 0).nonzero()
        turn = turns(ids[labelled])
        labelled = labelled[turn.argsort(kind='stable')]
        at, rows = _send(x.device, labelled, ids[labelled])
        counts = np.bincount(turn).tolist()
        for now, row in zip(at.split(counts), rows.split(counts), strict=True):
            new, momentum = x[now, :dim], self.momentum
            if x.shape[1] > dim:
                momentum = x[now, dim:]
            moved = momentum * self.table[row]
            moved = moved + (1 - momentum) * new
            if self.renormalise:
                moved = F.normalize(moved, dim=1)
            self.table[row] = moved

    def _enqueue(self, x: Tensor) -> None:
        """Write x (n, D) at the queue's head; the last Q of them survive."""
        size = len(self.queue)
        if not size:
            return
        slots = (
            self.queue_head + torch.arange(len(x), device=x.device)
        ) % size
        self.queue[slots[-size:]] = x[-size:]
        self.queue_head.add_(len(x)).remainder_(size)

    def get_extra_state(self) -> Tensor:
        """Identity names as UTF-8 bytes, so that any file format holds them.

        Returns:
            (L,) uint8; names joined by line feeds, empty without names.
        """
        text = '\n'.join(self.identity_names).encode()
        return torch.tensor(list(text), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over names; a state without any leaves those that are known."""
        self.identity_names = names_in_state(state) or self.identity_names

    def take_over(
        self, saved: Mapping[str, Tensor]
    ) -> tuple[Mapping[str, Tensor], str]:
        """Choose what a new run on these identities starts with.

        Rows of the same people are brought into this order. The table of
        other people is of no use, nor is its queue. Without names of its own,
        as in a test, the table takes over all.

        Args:
            saved: State of another run's table, as ``state_dict`` gives it.

        Returns:
            The state to load in its place, empty to start fresh; and a line
            for the log, empty if everything is loaded as it is.
        """
        own, ours = self.state_dict(), self.identity_names
        if not ours or saved.keys() != own.keys():  # or a damaged file
            return saved, ''
        theirs = names_in_state(saved['_extra_state'])
        counts = f'{len(saved["table"])} there, {len(ours)} here'
        if not theirs:
            return {}, f'{_FRESH} does not name its identities ({counts})'
        if sorted(theirs) != sorted(ours):
            common = len({*theirs} & {*ours})
            return {}, (
                f'{_FRESH} has other identities ({counts}, {common} in both)'
            )
        for key in ('table', 'queue'):
            there, here = list(saved[key].shape), list(own[key].shape)
            if there != here:
                return {}, (
                    f'{_FRESH} has the same identities, but its {key} is '
                    f'{there} there and {here} here'
                )
        row_of = {name: row for row, name in enumerate(theirs)}
        order = torch.tensor([row_of[name] for name in ours])
        moved = int((order != torch.arange(len(order))).sum())
        if not moved:
            return saved, ''
        table = saved['table'][order]
        names = own['_extra_state']
        return {**saved, 'table': table, '_extra_state': names}, (
            f'keeps its table: the same identities, {moved} of {len(order)} '
            'rows moved to the order of the data set'
        )

    def name_identities(self, names: list[str]) -> None:
        """Tell the table who its rows are; the same names again is fine.

        Args:
            names: P identity names, row by row.

        Raises:
            ValueError: The names are not P different ones, or the table
                already belongs to other people.
        """
        names = tuple(names)
        if len(names) != len(self.table):
            raise ValueError(
                f'the data set has {len(names)} labelled identities, the '
                f'lookup table has {len(self.table)} rows; set '
                f'model.roi_head.oim_head.loss_oim.num_ids={len(names)}'
            )
        if len(set(names)) < len(names) or any('\n' in n for n in names):
            raise ValueError(
                'identity names must differ and hold no line feed'
            )
        if self.identity_names and self.identity_names != names:
            row, old, new = next(
                (i, a, b)
                for i, (a, b) in enumerate(
                    zip(self.identity_names, names, strict=True)
                )
                if a != b
            )
            raise ValueError(
                'the lookup table belongs to other identities than the data '
                f'set: row {row} is {old!r} there and {new!r} here; resume '
                'with the data set of the checkpoint, or start a new run from '
                'it: load_from, with StrictLoadHook'
            )
        self.identity_names = names


def names_in_state(state: Tensor) -> tuple[str, ...]:
    """Identity names of what ``OIMLoss.get_extra_state`` gives, or ().

    Raises:
        InputError: It is something else.
    """
    fine = isinstance(state, Tensor) and state.dtype == torch.uint8
    try:
        text = bytes(state.flatten().tolist()).decode() if fine else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise InputError(
            'identity names of the checkpoint',
            'are not text in UTF-8, as uint8',
            'Fetch the file again',
        )
    return tuple(text.split('\n')) if text else ()


def turns(rows: np.ndarray) -> np.ndarray:
    """Tell, for each RoI, how many before it have the same identity.

    Args:
        rows: (n,) int64.

    Returns:
        (n,) int64, from 0.
    """
    by_row = rows.argsort(kind='stable')
    ordered = rows[by_row]
    turn = np.empty_like(rows)
    turn[by_row] = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return turn


def gather_rows(x: Tensor, ids: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Concatenate the rows of all processes in rank order.

    Args:
        x: (n, D) of this process; n may differ between processes.
        ids: (n,) int64.

    Returns:
        x and ids of all processes; the input itself with one process.
    """
    if get_world_size() == 1:
        return x, ids
    count = torch.full((1,), len(ids), device=x.device)
    counts = torch.cat(all_gather(count)).tolist()
    padding = max(counts) - len(ids)
    all_x = all_gather(F.pad(x, (0, 0, 0, padding)))
    (padded,) = _send(x.device, np.pad(ids, (0, padding)))
    all_ids = torch.stack(all_gather(padded)).numpy(force=True)
    return (
        torch.cat([a[:n] for a, n in zip(all_x, counts, strict=True)]),
        np.concatenate([a[:n] for a, n in zip(all_ids, counts, strict=True)]),
    )


def _send(device: torch.device, *numbers: np.ndarray) -> Tensor:
    """Copy k arrays (n,) of int64 to a device, which nobody waits for.

    Returns:
        (k, n) long.
    """
    packed = torch.from_numpy(np.stack(numbers))
    return packed.to(device, non_blocking=True)
