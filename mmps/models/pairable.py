"""Which ResNets can run on pairs of images."""

from collections.abc import Sequence


def check_pairable(
    *,
    deep_stem: bool = False,
    avg_down: bool = False,
    plugins: list | None = None,
    with_cp: bool = False,
    num_stages: int = 4,
    strides: Sequence[int] = (1, 2, 2, 2),
    out_indices: Sequence[int] = (0, 1, 2, 3),
    **_,
) -> None:
    """Refuse settings of mmdet's ``ResNet`` that pairs would not heed.

    Raises:
        ValueError: With the setting and why.
    """
    strides, out_indices = tuple(strides), tuple(out_indices)
    last = (num_stages - 1,)
    for wrong, setting, why in (
        (deep_stem, 'deep_stem=True', 'pairs enter through one 7x7 conv'),
        (avg_down, 'avg_down=True', 'its averages reach into the padding'),
        (plugins, f'plugins={plugins}', 'pairs would leave them out'),
        (with_cp, 'with_cp=True', 'pairs recompute no activation'),
        (
            any(stride not in (1, 2, 4) for stride in strides),
            f'strides={strides}',
            'where an image ends on a map is known for 1, 2 and 4',
        ),
        (
            out_indices != last,
            f'out_indices={out_indices}',
            f'pairs give the map of the last stage alone, {last}',
        ),
    ):
        if wrong:
            raise ValueError(f'QSSEResNet cannot have {setting}: {why}')
