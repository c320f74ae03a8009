"""Which ResNet the keys of a state dict belong to."""

import re
from collections import defaultdict
from collections.abc import Iterable

#: Depth -> residual blocks of each stage, as in torchvision and mmdet.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
#: Depths whose blocks have two convolutions; the others have three.
BASIC = (18, 34)
_CONV = re.compile(r'((?:.+\.)?)layer([1-4])\.(\d+)\.conv(\d)\.weight')


def depths_of(keys: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Depths that the stages which are there allow, by module.

    Returns:
        Path of a module ('' for the whole) -> depths, often one; several for
        a last stage alone. Modules that are no such ResNet are left out.
    """
    blocks = defaultdict(lambda: defaultdict(set))
    bottleneck = defaultdict(bool)
    for key in keys:
        if match := _CONV.fullmatch(key):
            module, stage, block, conv = match.groups()
            blocks[module][int(stage)].add(block)
            bottleneck[module] |= conv == '3'
    found = {}
    for module, stages in blocks.items():
        depths = tuple(
            depth
            for depth, counts in BLOCKS.items()
            if (depth in BASIC) != bottleneck[module]
            and all(len(b) == counts[s - 1] for s, b in stages.items())
        )
        if depths:
            found[module.removesuffix('.')] = depths
    return found


def depths_differ(ours: Iterable[str], theirs: Iterable[str]) -> str:
    """Say which ResNets of a model have another depth in a checkpoint.

    Args:
        ours: Keys of the model.
        theirs: Keys of the checkpoint.

    Returns:
        'backbone is a ResNet-18 in the model and a ResNet-50 in the
        checkpoint', several with semicolons, or ''.
    """
    ours, theirs = depths_of(ours), depths_of(theirs)
    return '; '.join(
        f'{module or "it"} is a ResNet-{_either(ours[module])} in the model '
        f'and a ResNet-{_either(theirs[module])} in the checkpoint'
        for module in ours
        if module in theirs and not set(ours[module]) & set(theirs[module])
    )


def _either(depths: tuple[int, ...]) -> str:
    return '/'.join(map(str, depths))
