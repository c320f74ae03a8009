"""Which camera took a picture, and when.

Cameras leave files, and files say this in their path or not at all. Times are
seconds since 1970 in UTC; what a path, a person or Exif says is read in a time
zone.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mmps.errors import InputError

from .matches import Source
from .scenes import is_video, video_length
from .where import Where

#: Part of a pattern -> what it matches.
_DIGITS = {
    **dict.fromkeys('ymdHMSI', r'\d{2}'),
    'Y': r'\d{4}',
    'j': r'\d{3}',
    'f': r'\d{1,6}',
    'z': r'(?:Z|[+-]\d{2}:?\d{2})',
    'p': '[AaPp][Mm]',
    'b': '[A-Za-z]{3}',
}
_TOKEN = re.compile(r'\{camera\}|\{time:[^}]*\}|\*|[^{*]+|\{')
#: Exif: folder of the tags of a picture, time of the picture, its time zone.
_EXIF, _TAKEN, _OFFSET = 0x8769, 0x9003, 0x9011
#: Seconds of a unit, of times such as 30d.
_UNITS = {'d': 86400, 'h': 3600, 'm': 60}


class Origins:
    """Adds camera and time to the source of a picture.

    The camera is ``camera``, or what ``pattern`` finds in the path, or the
    name of the folder that the file lies in. The time is what ``pattern``
    finds, or that of Exif (JPEG), or the time at which the file was last
    written; the last minus its length for a video, which is written as long
    as it is recorded. The time of a frame is that of the video's beginning
    plus the frame's timestamp.

    Args:
        camera: Name of the camera of all files.
        pattern: The end of every path, with ``{camera}`` and
            ``{time:FORMAT}`` where these stand, and ``*`` for anything within
            the name of a file or folder: ``{camera}/{time:%Y-%m-%d}/*.mp4``.
            FORMAT is that of ``datetime.strptime`` with numbers; it may be
            spread over several ``{time:...}``.
        timezone: Of times in paths and Exif that do not name theirs; that of
            this computer for None.

    Raises:
        InputError: The pattern names nothing, something else, or the camera
            beside ``camera``.
    """

    def __init__(
        self,
        camera: str | None = None,
        pattern: str | None = None,
        timezone: tzinfo | None = None,
    ) -> None:
        self.camera = camera
        self.pattern = pattern
        self.timezone = timezone
        self._regex, self._format = None, ''
        self._of_file: tuple[str, str, float] | None = None
        if pattern is not None:
            self._regex, self._format = _compiled(pattern)
            names_camera = 'camera' in self._regex.groupindex
            if names_camera and camera is not None:
                raise InputError(
                    f'pattern {pattern!r}',
                    f'finds the camera in the path, and camera={camera!r} is '
                    'given',
                    'Leave out one of them',
                )

    def __call__(self, source: Source) -> Source:
        """A source with camera and time; pixels in memory stay as they are.

        Raises:
            InputError: The path does not fit the pattern.
            FileNotFoundError: The time of a file is needed, and it is gone.
        """
        if source.image is None:
            return source
        if self._of_file is None or self._of_file[0] != source.image:
            self._of_file = source.image, *self.of_file(source.image)
        _, camera, begin = self._of_file
        time = begin + (source.timestamp or 0.0)
        return source._replace(camera=camera, time=time)

    def of_file(self, path: str) -> tuple[str, float]:
        """Camera, and time of the image or of the video's first frame."""
        found = self.check(path)
        camera = self.camera
        if camera is None:
            camera = found.get('camera') or Path(path).absolute().parent.name
        if self._format:
            parts = (v for k, v in found.items() if k.startswith('time'))
            return camera, self._stamp(path, ' '.join(parts))
        taken = None if is_video(path) else _exif_time(path, self.timezone)
        if taken is None:
            taken = Path(path).stat().st_mtime
            if is_video(path):
                taken -= video_length(path)
        return camera, taken

    def check(self, path: str) -> dict[str, str]:
        """What the pattern finds in a path; reads no file.

        Raises:
            InputError: The path does not fit the pattern.
        """
        if self._regex is None:
            return {}
        found = self._regex.search(Path(path).absolute().as_posix())
        if found is None:
            raise InputError(
                path,
                f'does not end as the pattern {self.pattern!r} says',
                'Change the pattern, or add these files with another one',
            )
        return found.groupdict()

    def _stamp(self, path: str, text: str) -> float:
        try:
            return _seconds(
                datetime.strptime(text, self._format), self.timezone
            )
        except ValueError as error:
            raise InputError(
                path,
                f'{text!r} is no time of the form {self._format!r} ({error})',
                'Change the pattern',
            ) from error


def parse_time(
    text: str, timezone: tzinfo | None = None, now: float | None = None
) -> float:
    """Seconds since 1970 of a time that somebody typed.

    Args:
        text: 2026-11-30, 2026-11-30T12:00, 2026-11-30 12:00:05+01:00, or an
            age: 30d, 12h, 90m (before now).
        timezone: Of a time that does not name its own; that of this computer
            for None.
        now: Of an age; the time of this computer for None.

    Raises:
        InputError: Another text.
    """
    if found := re.fullmatch(r'(\d+(?:\.\d+)?)([dhm])', text):
        if now is None:
            now = datetime.now().timestamp()
        return now - float(found[1]) * _UNITS[found[2]]
    try:
        return _seconds(datetime.fromisoformat(text), timezone)
    except ValueError as error:
        raise InputError(
            f'time {text!r}',
            'is neither a time such as 2026-11-30T12:00 nor an age such as '
            '30d, 12h or 90m',
        ) from error


def parse_where(
    cameras: Sequence[str] | None = None,
    after: str | None = None,
    before: str | None = None,
    min_score: float | None = None,
    images: str | None = None,
    timezone: tzinfo | None = None,
) -> Where | None:
    """Conditions as somebody typed them; None for none at all.

    Args:
        cameras: As of ``Where``, like ``min_score`` and ``images``.
        after: As of ``parse_time``, like ``before``; None for any time.
        before: See above.
        min_score: See above.
        images: See above.
        timezone: Of a time that does not name its own.

    Raises:
        InputError: A time that is none.
        ValueError: As of ``Where``.
    """
    times = [
        None if text is None else parse_time(text, timezone)
        for text in (after, before)
    ]
    found = Where(cameras, *times, min_score, images)
    return None if found == Where() else found


def parse_timezone(text: str | None) -> tzinfo | None:
    """UTC, +02:00 or Europe/Berlin; None for None.

    Raises:
        InputError: Another text, or a zone that this computer lacks.
    """
    if text is None:
        return None
    if text.upper() in ('UTC', 'Z'):
        return UTC
    try:
        if text[:1] in '+-':
            return datetime.strptime(text, '%z').tzinfo
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f'time zone {text!r}',
            'is not known',
            'Give UTC, +02:00, or a name such as Europe/Berlin',
        ) from error


def _seconds(moment: datetime, timezone: tzinfo | None) -> float:
    if moment.tzinfo is None and timezone is not None:
        moment = moment.replace(tzinfo=timezone)
    return moment.timestamp()  # without a zone: that of this computer


def _compiled(pattern: str) -> tuple[re.Pattern, str]:
    """Expression for the end of a path, and the format of its times."""
    parts, formats, has_camera = [], [], False
    for token in _TOKEN.findall(pattern):
        if token == '{':
            raise InputError(
                f'pattern {pattern!r}',
                'has a { that begins neither {camera} nor {time:FORMAT}',
            )
        if token == '{camera}':
            parts.append('(?P=camera)' if has_camera else '(?P<camera>[^/]+?)')
            has_camera = True
        elif token.startswith('{'):
            text = token[len('{time:') : -1]
            parts.append(f'(?P<time{len(formats)}>{_digits(pattern, text)})')
            formats.append(text)
        else:
            parts.append('[^/]*?' if token == '*' else re.escape(token))
    if not formats and not has_camera:
        raise InputError(
            f'pattern {pattern!r}',
            'names neither {camera} nor {time:FORMAT}',
            'An example: {camera}/{time:%Y-%m-%d_%H-%M-%S}.jpg',
        )
    directives = re.findall('%.', ' '.join(formats))
    if twice := {each for each in directives if directives.count(each) > 1}:
        raise InputError(
            f'pattern {pattern!r}',
            f'names {", ".join(sorted(twice))} twice; put * for one of them',
        )
    return re.compile(f'(?:^|/){"".join(parts)}$'), ' '.join(formats)


def _digits(pattern: str, text: str) -> str:
    """Expression for a time of a format."""
    parts = []
    for token in re.findall('%.|[^%]+|%$', text):
        if not token.startswith('%'):
            parts.append(re.escape(token))
        elif token[1:] in _DIGITS:
            parts.append(_DIGITS[token[1:]])
        else:
            raise InputError(
                f'pattern {pattern!r}',
                f'{token!r} is none of %' + ', %'.join(sorted(_DIGITS)),
            )
    return ''.join(parts)


def _exif_time(path: str, timezone: tzinfo | None) -> float | None:
    """When a picture was taken, if it says so."""
    from mmps.datasets.pictures import opened

    try:
        with opened(path) as picture:
            tags = picture.getexif().get_ifd(_EXIF)
        moment = datetime.strptime(
            f'{tags[_TAKEN]}{tags.get(_OFFSET, "")}',
            f'%Y:%m:%d %H:%M:%S{"%z" if _OFFSET in tags else ""}',
        )
        return _seconds(moment, timezone)
    except Exception:  # Pillow raises many types for what is damaged
        # no Exif, or no image: then reading it says so
        return None
