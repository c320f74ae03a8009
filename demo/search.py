"""Search for the person in a box of an image, in other images or a video.

    python demo/search.py street.jpg --box 812 220 900 470 \\
        --gallery photos/ --model zoo://NAME --out sheet.jpg
    python demo/search.py street.jpg --box 812 220 900 470 \\
        --gallery camera.mp4 --every 25 \\
        --model configs/oim/oim_r50.py --weights epoch_20.pth --json found.json

The sheet shows the query, then the best matches. Nothing is sent anywhere, and
nothing is written but the files that are named here.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('query', help='image that shows the person')
    parser.add_argument(
        '--box',
        type=float,
        nargs=4,
        required=True,
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='the person, in pixels of the image',
    )
    parser.add_argument(
        '--gallery',
        nargs='+',
        required=True,
        metavar='PATH',
        help='images, videos, or folders of images',
    )
    parser.add_argument(
        '--model', required=True, help='zoo://NAME, or a config file'
    )
    parser.add_argument(
        '--weights', help='checkpoint; a model of the zoo has its own'
    )
    add_options(parser)
    return parser.parse_args()


def add_options(parser: argparse.ArgumentParser) -> None:
    """What need not be given."""
    parser.add_argument(
        '--top', type=int, default=10, help='matches [%(default)s]'
    )
    parser.add_argument('--out', help='write a sheet of pictures to this file')
    parser.add_argument('--json', help='write the matches to this file')
    parser.add_argument(
        '--index',
        metavar='FILE.npz',
        help='keep the embeddings of the gallery here and use them again; '
        'personal data',
    )
    parser.add_argument(
        '--every',
        type=int,
        default=1,
        help='each so many frames of a video [%(default)s]',
    )
    parser.add_argument(
        '--rerank',
        type=int,
        metavar='K',
        help='query-guided networks: run pairs on the K images alone that '
        'are best by plain embeddings; needed with --index',
    )
    parser.add_argument(
        '--blur',
        action='store_true',
        help='on the sheet, blur everything outside the boxes',
    )
    parser.add_argument(
        '--det-thr',
        type=float,
        help='least score of a detection [that of the config]',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images [%(default)s]'
    )
    parser.add_argument('--device', help="'cpu', 'cuda' [a GPU if there is]")


def search(args: argparse.Namespace) -> None:
    """Search, print a table, write what is asked for."""
    from mmps.apis import PersonSearchInferencer
    from mmps.evaluation.result_text import write_json
    from mmps.inference import Match, Source, stored_index
    from mmps.inference.match_text import as_json, list_matches
    from mmps.visualization import save_match_sheet

    inferencer = PersonSearchInferencer(
        args.model, args.weights, args.device, det_thr=args.det_thr
    )
    gallery = args.gallery
    how = dict(every=args.every, batch_size=args.batch_size)
    if args.index:
        gallery = stored_index(inferencer, args.index, gallery, **how)
    matches = inferencer.search(
        args.query,
        args.box,
        gallery,
        **dict(how, top=args.top, rerank=args.rerank),
    )
    print(list_matches(matches))
    if args.json:
        query = dict(image=args.query, box=args.box)
        found = dict(query=query, matches=as_json(matches))
        write_json(found, args.json)
        print(f'wrote {args.json}')
    if args.out:
        query = Match(Source(args.query), 0, tuple(args.box), 1.0, 1.0)
        picture, *pictures = inferencer.pictures([query, *matches])
        save_match_sheet(
            (picture, args.box, args.query),
            matches,
            pictures,
            args.out,
            blur=args.blur,
        )
        print(f'wrote {args.out}')


def main() -> None:
    args = parse_args()
    try:
        search(args)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f'demo/search.py: {error}')


if __name__ == '__main__':
    main()
