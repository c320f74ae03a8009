"""Search and detection against the weight of the re-id loss.

As Fig. 1 of Munjal, Galasso and Amin, "Knowledge Distillation for End-to-End
Person Search", BMVC 2019.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Results of one network, a seed each: figure -> value in [0, 1].
Results = Sequence[Mapping[str, float]]


def save_weight_sweep(
    curves: Mapping[str, Mapping[float, Results]],
    detector: Results,
    protocol: str,
    path: Path,
) -> None:
    """Draw two panels: search mAP and detection AP in percent.

    A point is the mean over the seeds, its bar their range.

    Args:
        curves: Label -> lambda_oim -> results with '<protocol>/mAP' and
            'det/AP'.
        detector: Of a detector alone, a dashed line; may be empty.
        protocol: Such as 'G100'.
        path: Ends in .png or .pdf; its folder is made.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout='tight')
    titles = {
        f'{protocol}/mAP': f'search mAP at {protocol}',
        'det/AP': 'detection AP',
    }
    for panel, (key, title) in zip(panels, titles.items(), strict=True):
        for number, (label, points) in enumerate(curves.items()):
            weights = sorted(points)
            values = [[100 * r[key] for r in points[w]] for w in weights]
            means = [statistics.mean(v) for v in values]
            spread = [
                [m - min(v) for m, v in zip(means, values, strict=True)],
                [max(v) - m for m, v in zip(means, values, strict=True)],
            ]
            panel.errorbar(
                weights,
                means,
                yerr=spread if max(map(len, values)) > 1 else None,
                label=label,
                marker='os^Dv'[number % 5],
                capsize=3,
            )
        if detector and key == 'det/AP':
            mean = statistics.mean(100 * result[key] for result in detector)
            panel.axhline(mean, color='gray', ls='--', label='detector alone')
        panel.set(xlabel='weight of the re-id loss, lambda_oim', title=title)
        panel.set_ylabel('percent')
        panel.grid(alpha=0.3)
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
