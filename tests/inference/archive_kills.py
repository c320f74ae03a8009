"""Kills ``mmps archive add`` again and again; then everything must be there.

    python -m tests.inference.archive_kills --kills 20

Two processes at a time add the same files to one archive, with the network of
``fake_people.py``. One of them is killed (SIGKILL) at a random moment, after
it has begun, and started again. At the end the archive must hold every person
of every file once, and nothing else.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from datetime import UTC
from mmps.inference import Origins
from mmps.inference.archive import ArchiveWriter
from tests.inference.fake_people import FakePeople
origins = Origins('gate', '{time:%f}.*', UTC)
writer = ArchiveWriter(sys.argv[1], sys.argv[2], origins)
print('begins', flush=True)
writer.add(FakePeople(delay=0.01), batch_size=4, seconds=float(sys.argv[3]))
"""


def main() -> None:
    """Run the campaign, and say what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(Path(folder), args.kills, args.seed)
    print(f'{args.kills} kills: {found}')


def campaign(folder: Path, kills: int, seed: int = 0) -> str:
    """Kill, restart, and check.

    Args:
        folder: For the files and the archive.
        kills: How many.
        seed: Of the moments.

    Returns:
        What is in the archive.
    """
    files = folder / 'files'
    files.mkdir()
    for number in range(60 + 60 * kills):
        kind = 'mp4' if number % 20 == 0 else 'jpg'
        (files / f'{number:05d}.{kind}').write_bytes(b'%d' % number)
    rng = random.Random(seed)
    store = folder / 'store'
    workers = [_started(store, files) for _ in range(2)]
    done = 0
    while done < kills:
        victim = rng.randrange(2)
        if not workers[victim].stdout.readline():
            raise RuntimeError('a worker ended before it was killed')
        time.sleep(rng.uniform(0, 1.5))
        if workers[victim].poll() is not None:
            raise RuntimeError('all files are added: too few for the kills')
        workers[victim].kill()
        workers[victim].wait()
        workers[victim].stdout.close()
        done += 1
        workers[victim] = _started(store, files)
    for worker in workers:
        worker.kill()
        worker.communicate()
    # with fewer commits for what is left
    workers = [_started(store, files, seconds=5) for _ in range(2)]
    for worker in workers:
        worker.communicate()
        if worker.returncode:
            raise RuntimeError('a worker failed, see above')
    return check(store, files)


def check(store: Path, files: Path) -> str:
    """Compare an archive with what its files show.

    Raises:
        AssertionError: Somebody is missing, there twice, or another.
    """
    import numpy as np

    from mmps.inference import LanceStore
    from tests.inference.fake_people import DIMS, people_of, sources_of

    archive = LanceStore(store)
    paths = sorted(map(str, files.iterdir()))
    expected = {}
    for path in paths:
        for source in sources_of(path):
            boxes = people_of(source)
            for number in range(len(boxes)):
                key = (path, source.frame, number)
                expected[key] = boxes.embeddings[number]
    query = np.eye(DIMS, dtype=np.float32)[0]
    found = archive.candidates(query, len(archive) + 1)
    keys = [
        (source.image, source.frame, number)
        for source, number in zip(
            found.sources, found.numbers.tolist(), strict=True
        )
    ]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    assert not twice, f'there twice: {twice[:5]}'
    assert set(keys) == set(expected), 'others than expected'
    for key, embedding in zip(keys, found.embeddings, strict=True):
        assert (embedding == expected[key]).all(), f'{key} is another'
    records = archive.records()
    assert sorted(records) == paths, 'records are of others than expected'
    assert all(record.done for record in records.values())
    pictures = sum(record.pictures for record in records.values())
    assert pictures == sum(len(sources_of(path)) for path in paths)
    positions = set(found.positions.tolist())
    assert len(positions) == len({key[:2] for key in keys})
    return f'{len(keys)} people of {len(paths)} files, each once'


def _started(
    store: Path, files: Path, seconds: float = 0.1
) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-c', WORKER, store, files, str(seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


if __name__ == '__main__':
    main()
