"""OIMNet++, NAE and SeqNet beside the slow reference of the tests.

From the image to the last NMS: half-width ResNet-18, random weights and
BatchNorm statistics, two images of different size in a batch. Prints the
largest differences over everybody found as a Markdown table.

    python benchmarks/published_parity.py
"""

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Compare in float64, then in float32."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.models.published_networks import (
        NAMES,
        expected,
        network,
        pictures,
    )

    print('| network | people | boxes, pixels | scores | embeddings |')
    print('| --- | --- | --- | --- | --- |')
    for dtype in (torch.float64, torch.float32):
        for name in NAMES:
            model = network(name).to(dtype)
            inputs, samples = pictures(model)
            with torch.no_grad():
                found = model.predict(inputs.to(dtype), samples)
            rows = []
            for sample, (people, _) in zip(
                found, expected(name, model, inputs, samples), strict=True
            ):
                ours = sample.pred_instances
                values = (ours.bboxes, ours.scores, ours.embeddings)
                rows.append(
                    [
                        (mine.double() - torch.as_tensor(theirs)).abs().max()
                        for mine, theirs in zip(values, people, strict=True)
                    ]
                )
            worst = [
                f'{max(column):.1e}' for column in zip(*rows, strict=True)
            ]
            count = sum(len(sample.pred_instances) for sample in found)
            kind = str(dtype).removeprefix('torch.')
            print(f'| {name}, {kind} | {count} | {" | ".join(worst)} |')


if __name__ == '__main__':
    main()
