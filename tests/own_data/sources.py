"""Tiny sources in the formats that are converted."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

#: Frame -> rows of gt.txt behind it. Person 1 is in frames 1, 2 and 3.
GT = {
    1: ['1,5,5,10,20,1,1,1', '2,30,5,10,20,1,1,0.5'],
    2: ['1,6,5,10,20,1,1,1', '2,31,5,10,20,1,1,0.1'],
    3: ['1,7,5,10,20,1,1,1', '3,40,5,10,20,0,1,1', '4,20,5,9,9,1,7,1'],
    4: ['-1,7,5,10,20,1,1,1'],
}


def save_picture(path: Path, width: int = 60, height: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.full((height, width, 3), len(path.name) * 7 % 256, np.uint8)
    Image.fromarray(shade).save(path)
    return path


def write_mot(folder: Path, gt=None, images: str = 'img1') -> Path:
    gt = GT if gt is None else gt
    for frame in gt:
        save_picture(folder / images / f'{frame:06}.jpg')
    (folder / 'gt').mkdir()
    lines = [f'{frame},{row}\n' for frame, rows in gt.items() for row in rows]
    (folder / 'gt/gt.txt').write_text(''.join(lines))
    return folder


def write_coco_source(root: Path, people: list[tuple], **content) -> Path:
    """Write pictures and a COCO file.

    Args:
        root: Gets people.json, and the pictures in ``pictures``.
        people: (file name, bbox, fields of the annotation).
        content: Further keys of the file.
    """
    names = list(dict.fromkeys(name for name, *_ in people))
    for name in names:
        save_picture(root / 'pictures' / name)
    content = dict(
        images=[dict(id=i, file_name=name) for i, name in enumerate(names)],
        annotations=[
            dict(id=i, image_id=names.index(name), bbox=bbox, **fields)
            for i, (name, bbox, fields) in enumerate(people)
        ],
        **content,
    )
    file = root / 'people.json'
    file.write_text(json.dumps(content))
    return file
