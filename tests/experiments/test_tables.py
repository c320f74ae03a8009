from mmps.experiments.tables import differences_table, spread, table


def test_tables_have_mean_and_deviation():
    def of(mean, detection=None):
        figures = {'G50/mAP': mean, 'G50/top-1': mean}
        if detection is not None:
            figures['det/AP'] = figures['det/recall'] = detection
        return dict(figures=figures)

    text = table(
        {'a': [of(0.1), of(0.2), of(0.6)], 'b': [of(0.5, 0.9)], 'c': []},
        ['G50'],
    )
    assert text.splitlines() == [
        '| network | seeds | G50 mAP | G50 top-1 | detection AP | recall |',
        '| --- | --- | --- | --- | --- | --- |',
        '| a | 3 | 30.0 ± 26.5 | 30.0 ± 26.5 | - | - |',
        '| b | 1 | 50.0 | 50.0 | 90.0 | 90.0 |',
        '| c | 0 | not run | not run | not run | not run |',
    ]
    assert spread([], 'G50/mAP') == 'not run'


def test_differences_are_taken_seed_by_seed():
    def of(seed, mean):
        return dict(seed=seed, figures={'G50/mAP': mean, 'G50/top-1': 0.5})

    base = [of(0, 0.50), of(1, 0.60), of(2, 0.55)]
    ours = [of(0, 0.51), of(1, 0.63), of(2, 0.57), of(3, 0.9)]
    text = differences_table(
        {
            'ours': [ours, base],
            'one seed': [ours[:1], base],
            'none': [[], base],
        },
        ['G50'],
    )
    # 1, 3 and 2 points: mean 2, error 1 / sqrt(3), 4.303 of Student's t
    assert text.splitlines() == [
        '| difference | seeds | G50 mAP | G50 top-1 |',
        '| --- | --- | --- | --- |',
        '| ours | 3 | +2.0 [-0.5, +4.5] | +0.0 [+0.0, +0.0] |',
        '| one seed | 1 | +1.0 | +0.0 |',
        '| none | 0 | not run | not run |',
    ]
