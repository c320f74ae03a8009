"""Whether a checkpoint fits a model, key by key, before any weight moves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .errors import CheckpointError
from .resnet_depth import depths_differ

_SHOWN = 10
_COUNTER = 'num_batches_tracked'


@dataclass(frozen=True)
class KeyReport:
    """How the keys of a checkpoint meet those of a model.

    Attributes:
        matched: Keys of both, with equal shapes.
        missing: Keys of the model alone. They would keep their initial value.
        unexpected: Keys of the checkpoint alone. They would be ignored.
        differing: (key, shape in the model, shape in the checkpoint).
        kinds: (key, type in the model, type in the checkpoint), where one is
            of floating point and the other is not, or the numbers are too
            large for the model's type.
        counters: BatchNorm's step counters, keys of the model alone; none of
            ``missing``.
        left_out: Keys of the model alone of what ``training_only`` finds;
            none of ``missing``.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    differing: tuple[tuple[str, tuple, tuple], ...]
    counters: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    kinds: tuple[tuple[str, str, str], ...] = ()

    @property
    def fits(self) -> bool:
        """Whether each key of one is a key of the other, shapes too."""
        return not (
            self.missing or self.unexpected or self.differing or self.kinds
        )

    def problem_keys(self) -> list[str]:
        """All keys but the matched ones."""
        differing = [key for key, _, _ in (*self.differing, *self.kinds)]
        return [*self.missing, *self.unexpected, *differing]

    def counts(self) -> str:
        """How many keys there are of each kind, in words."""
        return (
            f'{len(self.matched)} keys match, {len(self.missing)} are '
            f'missing, {len(self.unexpected)} are unexpected, '
            f'{len(self.differing)} differ in shape'
            + (f', {len(self.kinds)} in type' if self.kinds else '')
        )

    def table(self) -> str:
        """Counts, then the first few keys of each kind, one a line."""
        lines = [self.counts()]
        lines += _first(self.missing, 'missing     {}')
        lines += _first(self.unexpected, 'unexpected  {}')
        lines += _first(
            [
                f'{key}: model {ours}, checkpoint {theirs}'
                for key, ours, theirs in self.kinds
            ],
            'type        {}',
        )
        return '\n'.join([*lines, *self.shapes()])

    def shapes(self) -> list[str]:
        """The first few keys of another shape, one a line."""
        return _first(
            [
                f'{key}: model {list(ours)}, checkpoint {list(theirs)}'
                for key, ours, theirs in self.differing
            ],
            'shape       {}',
        )

    def without(self, prefixes: Iterable[str]) -> 'KeyReport':
        """The same but for the problem keys that start with one of these.

        Those of another type stay: torch would convert them silently.
        """
        left_out = tuple(prefixes)
        return replace(
            self,
            missing=_others(self.missing, left_out),
            unexpected=_others(self.unexpected, left_out),
            differing=tuple(
                row
                for row in self.differing
                if not row[0].startswith(left_out)
            ),
        )


def compare_keys(
    model: nn.Module, state_dict: Mapping[str, Tensor]
) -> KeyReport:
    """Compare without changing either.

    A 'module.' in front (a model saved inside DDP) is dropped as mmengine
    does, and BatchNorm's step counters may be missing (models of before 2019),
    as may all of a module that is for training only (published weights).
    What a module saves by ``get_extra_state`` has no shape to compare. Types
    of floating point take each other's place if the numbers allow it, types of
    integers too.
    """
    theirs = {bare(key): value for key, value in state_dict.items()}
    ours = model.state_dict()
    absent = tuple(
        prefix
        for prefix in training_only(model)
        if not any(key.startswith(prefix) for key in theirs)
    )
    left_out = tuple(key for key in ours if key.startswith(absent))
    unmatched = [key for key in ours if key not in {*theirs, *left_out}]
    matched, differing, kinds = [], [], []
    for key in ours.keys() & theirs.keys():
        own = key.endswith('_extra_state')
        if not own and not _converts(ours[key], theirs[key]):
            kinds.append((key, _type(ours[key]), _type(theirs[key])))
            continue
        shapes = [tuple(getattr(d[key], 'shape', ())) for d in (ours, theirs)]
        if own or shapes[0] == shapes[1]:
            matched.append(key)
        else:
            differing.append((key, *shapes))
    return KeyReport(
        matched=tuple(sorted(matched)),
        missing=tuple(k for k in unmatched if not k.endswith(_COUNTER)),
        unexpected=tuple(key for key in theirs if key not in ours),
        differing=tuple(sorted(differing)),
        counters=tuple(k for k in unmatched if k.endswith(_COUNTER)),
        left_out=left_out,
        kinds=tuple(sorted(kinds)),
    )


def _converts(ours: Tensor, theirs: object) -> bool:
    """Whether a value becomes one of the model's type without being lost."""
    if not isinstance(theirs, Tensor):
        return False
    if ours.dtype == theirs.dtype:
        return True
    if not (_kind(ours) == _kind(theirs) == 'float'):
        return _kind(ours) == _kind(theirs) == 'integer'
    largest = torch.finfo(ours.dtype).max
    if torch.finfo(theirs.dtype).max <= largest or not theirs.numel():
        return True
    return bool(theirs.abs().max() <= largest)


def _kind(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        return 'float'
    other = tensor.is_complex() or tensor.dtype == torch.bool
    return str(tensor.dtype) if other else 'integer'


def _type(value: object) -> str:
    if isinstance(value, Tensor):
        return str(value.dtype).removeprefix('torch.')
    return type(value).__name__


def training_only(model: nn.Module) -> tuple[str, ...]:
    """Prefixes of keys that a network is tested without.

    Those of modules with a true attribute ``training_only``, as the lookup
    table and queue of OIM.
    """
    return tuple(
        f'{name}.'
        for name, module in model.named_modules()
        if getattr(module, 'training_only', False)
    )


def check_state_dict(
    model: nn.Module,
    state_dict: Mapping[str, Tensor],
    filename,
    allow: Sequence[str] = (),
    hint: str | None = None,
) -> KeyReport:
    """Refuse a checkpoint that does not fit; loads nothing itself.

    Args:
        model: Not wrapped in DDP.
        state_dict: The weights to be loaded.
        filename: Named in the error.
        allow: Prefixes of keys that may be missing, unexpected or of another
            shape, as for fine-tuning: ``('roi_head.oim_head.',)``.
        hint: What to do, at the end of the error; None names ``allow``.

    Returns:
        The report.

    Raises:
        CheckpointError: With counts and the first keys of each kind that
            are not allowed, and the depths of ResNets that differ.
    """
    unnamed = [key for key in state_dict if not isinstance(key, str)]
    if unnamed:
        raise CheckpointError(
            filename,
            f'has weights under {unnamed[0]!r}, which is not a name',
            'Its state_dict should have the names of the parameters as keys',
        )
    report = compare_keys(model, state_dict)
    bad = report.without(allow)
    if bad.fits:
        return report
    refused = f'does not fit this {type(model).__name__}: '
    depths = depths_differ(model.state_dict(), map(bare, state_dict))
    if depths:
        raise CheckpointError(
            filename,
            f'{refused}{depths} ({bad.counts()})',
            'Use a checkpoint of the same depth, or the config of its depth',
        )
    if not (bad.missing or bad.unexpected or bad.differing):
        hint = 'Save its weights in the types of the model, as .float() gives'
    allowed = len(report.problem_keys()) - len(bad.problem_keys())
    more = f'\n  and {allowed} keys that may differ (allow)' if allowed else ''
    raise CheckpointError(
        filename,
        f'{refused}{bad.table()}{more}',
        hint
        or 'Check that config and checkpoint belong together (backbone, '
        'number of identities, method). To fine-tune from it anyway, '
        'list the prefixes of such keys in default_hooks.strict_load.allow, '
        f'for example {bad.problem_keys()[0].rsplit(".", 1)[0]!r}',
    )


def bare(key: str) -> str:
    """A key without the 'module.' of a model that was saved inside DDP."""
    return key.removeprefix('module.')


def _others(keys: Iterable[str], prefixes: tuple[str, ...]) -> tuple:
    return tuple(key for key in keys if not key.startswith(prefixes))


def _first(keys: Sequence[str], line: str) -> list[str]:
    shown = [f'  {line.format(key)}' for key in keys[:_SHOWN]]
    if len(keys) > _SHOWN:
        shown.append(f'  {line.format("...")} {len(keys) - _SHOWN} more')
    return shown
