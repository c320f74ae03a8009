"""Write a trained network as ONNX files, which run without torch.

mmps export zoo://oim_r18_qeeps50_synth --out exported
mmps export oim_r50 epoch_20.pth --out exported --proposals 100
mmps search street.jpg --pick 3 --gallery photos/ --model exported

scene.onnx looks at a picture, people.onnx at boxes in it (docs/export.md).
"""

import argparse

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        'config', help='path or name of a config, or zoo://NAME'
    )
    parser.add_argument(
        'weights',
        nargs='?',
        help='checkpoint; a network of the zoo has its own',
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='where the files go'
    )
    parser.add_argument(
        '--layout',
        choices=['split'],
        default='split',
        help='split: a graph for pictures and one for boxes [%(default)s]',
    )
    parser.add_argument(
        '--proposals',
        type=at_least(1),
        metavar='N',
        help='boxes of a picture that people are sought in; fewer are faster '
        '[those of the config]',
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    from pathlib import Path

    from mmps.export import export_network
    from mmps.inference.network import Network

    network = Network(args.config, args.weights, 'cpu', args.proposals)
    export_network(network, Path(args.out), args.layout, print)
