"""Whether a checkpoint fits a model, key by key, before any weight moves."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .errors import CheckpointError

_SHOWN = 10


@dataclass(frozen=True)
class KeyReport:
    """How the keys of a checkpoint meet those of a model.

    Attributes:
        matched: Keys of both, with equal shapes.
        missing: Keys of the model alone. They would keep their initial value.
        unexpected: Keys of the checkpoint alone. They would be ignored.
        differing: (key, shape in the model, shape in the checkpoint).
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    differing: tuple[tuple[str, tuple, tuple], ...]

    @property
    def fits(self) -> bool:
        """Whether each key of one is a key of the other, shapes too."""
        return not (self.missing or self.unexpected or self.differing)

    def problem_keys(self) -> list[str]:
        """All keys but the matched ones."""
        differing = [key for key, _, _ in self.differing]
        return [*self.missing, *self.unexpected, *differing]

    def table(self) -> str:
        """Counts, then the first few keys of each kind, one a line."""
        lines = [
            f'{len(self.matched)} keys match, {len(self.missing)} are '
            f'missing, {len(self.unexpected)} are unexpected, '
            f'{len(self.differing)} differ in shape'
        ]
        lines += _first(self.missing, 'missing     {}')
        lines += _first(self.unexpected, 'unexpected  {}')
        lines += _first(
            [
                f'{key}: model {list(ours)}, checkpoint {list(theirs)}'
                for key, ours, theirs in self.differing
            ],
            'shape       {}',
        )
        return '\n'.join(lines)


def compare_keys(
    model: nn.Module, state_dict: Mapping[str, Tensor]
) -> KeyReport:
    """Compare without changing either.

    A 'module.' in front (a model saved inside DDP) is dropped as mmengine
    does, and BatchNorm's step counters may be missing (models of before 2019).
    What a module saves by ``get_extra_state`` has no shape to compare.
    """
    theirs = {re.sub(r'^module\.', '', k): v for k, v in state_dict.items()}
    ours = model.state_dict()
    matched, differing = [], []
    for key in ours.keys() & theirs.keys():
        shapes = [tuple(getattr(d[key], 'shape', ())) for d in (ours, theirs)]
        if shapes[0] == shapes[1] or key.endswith('_extra_state'):
            matched.append(key)
        else:
            differing.append((key, *shapes))
    return KeyReport(
        matched=tuple(sorted(matched)),
        missing=tuple(
            key
            for key in ours
            if key not in theirs and not key.endswith('num_batches_tracked')
        ),
        unexpected=tuple(key for key in theirs if key not in ours),
        differing=tuple(sorted(differing)),
    )


def check_state_dict(
    model: nn.Module,
    state_dict: Mapping[str, Tensor],
    filename,
    strict: bool = True,
    allow: Sequence[str] = (),
) -> KeyReport:
    """Refuse a checkpoint that does not fit; loads nothing itself.

    Args:
        model: Not wrapped in DDP.
        state_dict: The weights to be loaded.
        filename: Named in the error.
        strict: False to only report.
        allow: Prefixes of keys that may be missing, unexpected or of another
            shape, as for fine-tuning: ``('roi_head.oim_head.',)``.

    Returns:
        The report.

    Raises:
        CheckpointError: With counts and the first keys of each kind.
    """
    report = compare_keys(model, state_dict)
    bad = [k for k in report.problem_keys() if not k.startswith(tuple(allow))]
    if not strict or not bad:
        return report
    raise CheckpointError(
        filename,
        f'does not fit this {type(model).__name__}: {report.table()}',
        'Check that config and checkpoint belong together (backbone, '
        'number of identities, method). To fine-tune from it all the same, '
        'list the prefixes of such keys in default_hooks.strict_load.allow, '
        f'for example {bad[0].rsplit(".", 1)[0]!r}',
    )


def _first(keys: Sequence[str], line: str) -> list[str]:
    shown = [f'  {line.format(key)}' for key in keys[:_SHOWN]]
    if len(keys) > _SHOWN:
        shown.append(f'  {line.format("...")} {len(keys) - _SHOWN} more')
    return shown
