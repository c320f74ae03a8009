"""A page in the browser: click a person, find them in many pictures.

    pip install 'mmps[demo]'
    python demo/app.py
    python demo/app.py --model configs/oim/oim_r50.py --weights epoch_20.pth

Only this computer can open the page. Nothing is sent anywhere, and what was
uploaded or found is deleted when the program ends (docs/demo.md).
"""

import argparse
import importlib.util
import signal
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--model',
        default='zoo://oim_r18_qeeps50_synth',
        help='zoo://NAME, or a config file [%(default)s]',
    )
    parser.add_argument(
        '--weights', help='checkpoint; a model of the zoo has its own'
    )
    parser.add_argument('--device', help="'cpu', 'cuda' [a GPU if there is]")
    parser.add_argument(
        '--det-thr',
        type=float,
        help='least score of a detection [that of the config]',
    )
    parser.add_argument(
        '--port', type=int, help='[the first free one from 7860 on]'
    )
    parser.add_argument(
        '--browser', action='store_true', help='open a browser, too'
    )
    return parser.parse_args()


def show(args: argparse.Namespace) -> None:
    """Show the page until Ctrl+C."""
    from mmps.demo.serve import launch, private_folder, quiet_environment

    quiet_environment()
    with private_folder() as folder:
        from mmps.demo.actions import Actions
        from mmps.demo.examples import draw_examples
        from mmps.demo.page import make_page
        from mmps.demo.searcher import Searcher
        from mmps.inference import PersonSearchInferencer

        inferencer = PersonSearchInferencer(
            args.model, args.weights, args.device, det_thr=args.det_thr
        )
        examples = draw_examples(folder / 'scenes')
        page = make_page(Actions(Searcher(inferencer), examples), args.model)
        url = launch(page, args.port, show=args.browser)
        print(f'{url} is open to this computer alone; Ctrl+C ends it')
        page.block_thread()


def main() -> None:
    args = parse_args()
    if importlib.util.find_spec('gradio') is None:
        sys.exit(
            'demo/app.py: the page needs Gradio, which is not installed: '
            "pip install 'mmps[demo]' (in a checkout: pip install -e .[demo])"
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up
    try:
        show(args)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f'demo/app.py: {error}')


if __name__ == '__main__':
    main()
