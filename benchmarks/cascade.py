"""Scores and time of a cascade that runs pairs only on the best k images.

The whole test loop, including the plain pass of the cascade, on the first
queries of a protocol: without a cascade, then with each k. No run reuses
the findings of another.

    python benchmarks/cascade.py configs/qeeps/qeeps_r18_synth.py CHECKPOINT \\
        --queries 100 --top 5 10 20
"""

import argparse
import json
import tempfile
import time
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--protocol', default='G100')
    parser.add_argument(
        '--queries', type=int, help='the first ones alone; all by default'
    )
    parser.add_argument('--top', type=int, nargs='+', default=[5, 10, 20])
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def run(loop, top: int | None, num_queries: int | None) -> tuple[dict, float]:
    """Result and seconds of a test that finds nothing done before."""
    loop.cascade_topk, loop.num_queries = top, num_queries
    with tempfile.TemporaryDirectory() as folder:
        loop.runner._work_dir = folder
        start = time.perf_counter()
        result = loop.run()
        return result, time.perf_counter() - start


def main() -> None:
    args = parse_args()
    import torch

    from mmps.apis import load_config, load_pair_loop, parse_options

    if args.threads:
        torch.set_num_threads(args.threads)
    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, cfg_options=options)
    cfg.test_evaluator.protocols = [args.protocol]
    loop = load_pair_loop(cfg, args.checkpoint)
    loop.runner.call_hook('before_run')  # the loggers need it
    report, lines = [], []
    for top in (None, *args.top):
        result, seconds = run(loop, top, args.queries)
        report.append(dict(top=top, seconds=seconds, **result))
        saved = 1 - seconds / report[0]['seconds']
        lines.append(
            f'{top or "all":>5}'
            f'{100 * result[f"{args.protocol}/mAP"]:8.1f}'
            f'{100 * result[f"{args.protocol}/top-1"]:8.1f}'
            f'{seconds:10.1f}{100 * saved:8.1f} %'
        )
    print('    k     mAP   top-1   seconds   saved')
    print('\n'.join(lines))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
