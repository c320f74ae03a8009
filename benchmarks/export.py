"""Time a network on torch, and exported in float32 and in int8.

Milliseconds of one picture on one core, from pixels to embeddings, by the
number of proposals; the contenders take turns, so that a busy machine slows
all of them alike. The number of proposals is changed in place: the graphs are
the same for all.

    mmps export zoo://oim_r18_synth --out exported --int8 data/synth-small
    OMP_NUM_THREADS=1 python benchmarks/export.py zoo://oim_r18_synth \\
        exported data/synth-small/Image/SSM --out export.json
"""

import argparse
import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='zoo://NAME, or a config')
    parser.add_argument('folder', type=Path, help='of the exported network')
    parser.add_argument('pictures', help='an image, or a folder of images')
    parser.add_argument('--weights', help='those of the zoo by default')
    parser.add_argument(
        '--proposals', type=int, nargs='+', default=[300, 100, 50, 25]
    )
    parser.add_argument(
        '--repeats', type=int, default=7, help='timings per median'
    )
    parser.add_argument(
        '--num', type=int, default=3, help='pictures, timed together'
    )
    parser.add_argument(
        '--clock',
        choices=CLOCKS,
        default='cpu',
        help='cpu: time of this process, which a busy machine changes less',
    )
    parser.add_argument('--out', type=Path, help='write numbers as JSON')
    return parser.parse_args(argv)


def contenders(args):
    """Name -> network, and a function that sets its proposals."""
    import torch

    from mmps.inference.network import Network
    from mmps.inference.onnx_network import OnnxNetwork

    torch.set_num_threads(1)
    plain = Network(args.config, args.weights, 'cpu')
    found = {'torch': (plain, set_in_torch)}
    for folder in (args.folder, args.folder / 'int8'):
        if folder.is_dir():
            network = OnnxNetwork(folder, 'cpu')
            name = f'ONNX {network.metadata.precision}'
            found[name] = network, set_in_onnx
    return found


def set_in_torch(network, proposals):
    network.model.rpn_head.test_cfg.max_per_img = proposals


def set_in_onnx(network, proposals):
    about = network.metadata
    network.metadata = replace(
        about, proposals=replace(about.proposals, max_per_img=proposals)
    )


def timed(network, items, clock):
    """Milliseconds of a picture."""
    start = clock()
    for item in items:
        network.detect([item])
    return 1000 * (clock() - start) / len(items)


def measure(args):
    """Proposals -> name -> median."""
    from mmps.inference.scenes import as_scene, listed

    found = contenders(args)
    scenes = list(map(as_scene, listed(args.pictures)))[: args.num]
    items = {
        name: [network.prepare(scene) for scene in scenes]
        for name, (network, _) in found.items()
    }
    clock = CLOCKS[args.clock]
    table = {}
    for proposals in args.proposals:
        times = {name: [] for name in found}
        for name, (network, set_proposals) in found.items():
            set_proposals(network, proposals)
            timed(network, items[name], clock)  # warm
        for _ in range(args.repeats):
            for name, (network, _) in found.items():
                times[name].append(timed(network, items[name], clock))
        table[proposals] = {
            name: statistics.median(values) for name, values in times.items()
        }
    return table


def sizes(folder):
    """Megabytes of all files, in float32 and int8."""
    return {
        name: sum(p.stat().st_size for p in place.glob('*.onnx')) / 1e6
        for name, place in (('fp32', folder), ('int8', folder / 'int8'))
        if place.is_dir()
    }


def main(argv=None):
    args = parse_args(argv)
    table = measure(args)
    names = list(next(iter(table.values())))
    heads = [f'{name} (ms)' for name in names]
    ratios = [f'{name} / torch' for name in names[1:]]
    print('| proposals |', ' | '.join([*heads, *ratios]), '|')
    print('|', ' | '.join(['---'] * (1 + len(heads) + len(ratios))), '|')
    for proposals, row in table.items():
        cells = [f'{row[name]:.0f}' for name in names]
        cells += [f'{row[name] / row["torch"]:.2f}' for name in names[1:]]
        print(f'| {proposals} |', ' | '.join(cells), '|')
    megabytes = sizes(args.folder)
    for name, size in megabytes.items():
        print(f'{name}: {size:.1f} MB')
    if args.out is not None:
        result = dict(
            config=args.config,
            clock=args.clock,
            processor=platform.processor() or platform.machine(),
            milliseconds=table,
            megabytes=megabytes,
        )
        args.out.write_text(json.dumps(result, indent=2))


if __name__ == '__main__':
    sys.exit(main())
