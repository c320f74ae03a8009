"""Cameras and times are those of the path, of Exif or of the file."""

import os
import shutil
from datetime import UTC, datetime, timedelta, timezone

import cv2
import numpy as np
import pytest
from PIL import Image

from mmps.errors import InputError
from mmps.inference import Origins, Source, Where
from mmps.inference.origins import parse_time, parse_timezone, parse_where

NOON = datetime(2026, 11, 30, 12, 0, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ('path', 'pattern', 'camera'),
    [
        (
            'gate/2026-11-30_12-00-05.jpg',
            '{camera}/{time:%Y-%m-%d_%H-%M-%S}.jpg',
            'gate',
        ),
        # recorders that have folders for the day and the hour
        (
            'rec/2026-11-30/12/front door/00.05.mp4',
            '{time:%Y-%m-%d}/{time:%H}/{camera}/{time:%M.%S}.mp4',
            'front door',
        ),
        (
            'x/cam_7_20261130T120005_0001.jpeg',
            '{camera}_{time:%Y%m%dT%H%M%S}_*.jpeg',
            'cam_7',
        ),
        ('hall/20261130120005.png', '{time:%Y%m%d%H%M%S}.*', 'hall'),
        (
            'hall/2026-11-30T13-00-05+0100.png',
            '{time:%Y-%m-%dT%H-%M-%S%z}.png',
            'hall',
        ),
    ],
)
def test_a_pattern_reads_the_path(path, pattern, camera):
    origins = Origins(pattern=pattern, timezone=UTC)
    assert origins(Source(path)) == Source(path, camera=camera, time=NOON)
    frame = origins(Source(path, 50, 2.5))
    assert frame.time == NOON + 2.5


def test_times_are_read_in_a_zone():
    pattern = '{time:%Y-%m-%d %H:%M:%S}.jpg'
    zone = timezone(timedelta(hours=2))
    origins = Origins('x', pattern, zone)
    assert origins(Source('2026-11-30 14:00:05.jpg')).time == NOON
    assert parse_timezone('+02:00').utcoffset(None) == timedelta(hours=2)
    winter, summer = (
        Origins('x', pattern, parse_timezone('Europe/Berlin'))(
            Source(f'2026-{month}-15 12:00:00.jpg')
        ).time
        for month in ('01', '07')
    )
    assert (winter % 86400, summer % 86400) == (11 * 3600, 10 * 3600)
    assert parse_timezone(None) is None
    with pytest.raises(InputError, match=r'Mars.*not known.*Europe/Berlin'):
        parse_timezone('Mars')


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('*.jpg', 'names neither'),
        ('{cam}/*', 'begins neither {camera}'),
        ('{time:%Q}.jpg', "'%Q' is none of"),
        ('{time:%H}/{time:%H}.jpg', '%H twice'),
    ],
)
def test_patterns_that_say_nothing_are_refused(pattern, message):
    with pytest.raises(InputError, match=message):
        Origins(pattern=pattern)
    with pytest.raises(InputError, match='Leave out one'):
        Origins('gate', '{camera}/*')


def test_a_path_that_does_not_fit_is_named():
    origins = Origins(pattern='{camera}/{time:%m}.jpg', timezone=UTC)
    with pytest.raises(InputError, match=r'gate/a\.jpg: does not end as'):
        origins(Source('gate/a.jpg'))
    with pytest.raises(InputError, match=r"gate/13\.jpg: '13' is no time"):
        origins(Source('gate/13.jpg'))


def test_without_a_pattern_folder_and_file_say_it(tmp_path, video):
    image = tmp_path / 'gate' / 'a.jpg'
    image.parent.mkdir()
    Image.new('RGB', (8, 8)).save(image)
    os.utime(image, (NOON, NOON))
    expected = Source(str(image), camera='gate', time=NOON)
    assert Origins()(Source(str(image))) == expected
    assert Origins('west')(Source(str(image))).camera == 'west'
    clip = tmp_path / 'clip.avi'
    shutil.copy(video, clip)
    os.utime(clip, (NOON, NOON))
    capture = cv2.VideoCapture(str(clip))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6  # ten a second
    found = Origins()(Source(str(clip), 2, 0.2))
    assert found.time == pytest.approx(NOON - 0.6 + 0.2, rel=0, abs=1e-3)
    assert Origins()(Source()) == Source()


def test_exif_comes_before_the_time_of_the_file(tmp_path):
    for number, (extra, hours) in enumerate([({}, 3), ({0x9011: 'Z'}, 0)]):
        path = tmp_path / f'{number}.jpg'
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0x9003: '2026:11:30 12:00:05', **extra})
        Image.new('RGB', (8, 8)).save(path, exif=exif)
        os.utime(path, (1, 1))
        zone = timezone(timedelta(hours=3))
        found = Origins(timezone=zone)(Source(str(path)))
        assert found.time == NOON - 3600 * hours
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')  # found out when it is read
    os.utime(broken, (7, 7))
    assert Origins()(Source(str(broken))).time == 7


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('2026-11-30T12:00:05', NOON),
        ('2026-11-30 13:00:05+01:00', NOON),
        ('2026-11-30', NOON - 43205),
        ('2d', NOON - 2 * 86400),
        ('1.5h', NOON - 5400),
        ('10m', NOON - 600),
    ],
)
def test_times_that_people_type(text, seconds):
    assert parse_time(text, UTC, now=NOON) == seconds


def test_a_text_that_is_no_time_is_named():
    with pytest.raises(InputError, match=r"'yesterday': is neither .* 30d"):
        parse_time('yesterday')
    local = parse_time('2026-11-30T12:00')
    assert local == datetime(2026, 11, 30, 12).timestamp()
    assert np.isclose(parse_time('0d'), datetime.now().timestamp(), atol=60)


def test_conditions_are_read_as_they_were_typed():
    zone = timezone(timedelta(hours=2))
    where = parse_where(
        ['gate'], '2026-11-30T12:00', '2026-11-30T10:01Z', 0.5, '/a', zone
    )
    noon = datetime(2026, 11, 30, 10, tzinfo=UTC).timestamp()
    assert where == Where(['gate'], noon, noon + 60, 0.5, '/a')
    assert parse_where(timezone=zone) is None
    with pytest.raises(InputError, match="time 'noon'"):
        parse_where(before='noon')
