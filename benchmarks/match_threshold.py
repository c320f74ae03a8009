"""From which similarity on a released network calls two people the same.

    python benchmarks/match_threshold.py oim_r18_synth
    python benchmarks/match_threshold.py qeeps_r18_synth \\
        --cfg-options test_cfg.num_queries=100

Tests the entry of the zoo on its own data, and prints the smallest similarity
that at most one in 100 detections of other people reaches. ``--record`` writes
it into the metafile of the entry, as ``tools/publish_model.py`` does for a
new one; ``mmps search`` warns when nobody in a gallery is that similar.
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='entry of the zoo, with weights')
    parser.add_argument(
        '--protocol', help='protocol [the first one of the test]'
    )
    parser.add_argument('--work-dir', help='logs [work_dirs/NAME]')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override the config in the test',
    )
    parser.add_argument(
        '--record', action='store_true', help='write it into the metafile'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config, parse_options, run_test
    from mmps.evaluation.match_threshold import MatchThreshold, match_threshold
    from mmps.zoo import load_index
    from mmps.zoo.index import MATCH_THRESHOLD
    from mmps.zoo.metafile import record

    index = load_index()
    entry = index.find(args.name)
    cfg = load_config(
        str(index.root / entry.config),
        work_dir=args.work_dir,
        cfg_options=parse_options(args.cfg_options),
    )
    found: list[MatchThreshold] = []
    run_test(
        cfg,
        f'zoo://{entry.name}',
        on_search=lambda s: found.append(match_threshold(s, args.protocol)),
    )
    (limit,) = found
    print(
        f'{entry.name}: {limit.similarity:.3f}; {limit.num_false} of '
        f'{limit.num_others} detections of others and {limit.num_true} of '
        f'{limit.num_gt} appearances of the person are at least so similar'
    )
    if args.record:
        metadata = {MATCH_THRESHOLD: round(limit.similarity, 3)}
        path = index.root / entry.config
        record(
            path.with_name('metafile.yml'), entry.name, {'Metadata': metadata}
        )


if __name__ == '__main__':
    main()
