import cv2
import numpy as np
import pytest

from mmps.inference import Group, Match, Source
from mmps.visualization import save_clips
from mmps.visualization.canvas import RIGHT


@pytest.fixture
def video(tmp_path):
    """Ten frames, frame n has the grey 20 n."""
    path = str(tmp_path / 'grey.avi')
    code = cv2.VideoWriter_fourcc(*'FFV1')
    writer = cv2.VideoWriter(path, code, 5, (160, 120))
    for number in range(10):
        writer.write(np.full((120, 160, 3), 20 * number, np.uint8))
    writer.release()
    return path


def group(video, *frames):
    return Group(
        tuple(
            Match(Source(video, n, n / 5), n, (20, 20, 60, 100), 0.5, 0.9)
            for n in frames
        )
    )


def frames_of(path):
    video, found = cv2.VideoCapture(str(path)), []
    while True:
        fine, pixels = video.read()
        if not fine:
            return found
        found.append(pixels)


def test_a_clip_lasts_from_the_first_match_to_the_last(video, tmp_path):
    image = Group((Match(Source('a.jpg'), 0, (0, 0, 9, 9), 0.9, 0.9),))
    folder = tmp_path / 'new/clips'
    groups = [group(video, 2, 3, 6), image, group(video, 8)]
    assert save_clips(groups, folder) == [folder / '01.mp4', folder / '03.mp4']
    long, short = (frames_of(folder / name) for name in ('01.mp4', '03.mp4'))
    # beside the frame, the grey says which frames these are
    shown = [round(f[60, 120].mean() / 20) for f in long]
    assert shown == [2, 3, 4, 5, 6]
    assert [round(f[60, 120].mean() / 20) for f in short] == [8]
    framed = [
        np.abs(f[60, 20].astype(int) - RIGHT).max() < 60
        for f in (*long, *short)
    ]
    assert framed == [True, True, False, False, True, True]
    rate = cv2.VideoCapture(str(folder / '01.mp4')).get(cv2.CAP_PROP_FPS)
    assert rate == pytest.approx(5)


def test_without_a_video_nothing_is_written(tmp_path):
    assert save_clips([], tmp_path / 'clips') == []
    assert list((tmp_path / 'clips').iterdir()) == []
