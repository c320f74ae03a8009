"""Pictures of many kinds, and what can be wrong with their bytes."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

#: Of the unbroken pictures.
WIDTH, HEIGHT = 64, 48
#: What is to become of a file: any answer that all readers share; refused by
#: all; or read by all, with the pixels of the unbroken one.
ANY, REFUSED, SAME = 'any', 'refused', 'same'
#: Sides that a header may claim: together too many pixels, or not many.
_SIDES = (0, 1, 15, 16, 17, 300, 999, 20_000, 65_535)
_NAMES = b'IHDR PLTE IDAT IEND tRNS gAMA iCCP sRGB tEXt zTXt eXIf acTL fcTL'
_ORIENTATION, _TAKEN, _EXIF = 0x0112, 0x9003, 0x8769


@dataclass(frozen=True)
class Broken:
    """A file, and what is to become of it.

    Attributes:
        data: Content.
        fate: One of the constants above.
        like: Name of the unbroken picture.
    """

    data: bytes
    fate: str
    like: str


def originals() -> dict[str, bytes]:
    """Unbroken pictures by name; the same ones in every run."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH))
    pixels = np.stack([3 * x + noise, 4 * y, (x + y) % 32 * 7], 2)
    colour = Image.fromarray(pixels.astype(np.uint8))
    deep = Image.fromarray((pixels[:, :, 0] * 257).astype(np.uint16))
    return {
        'jpeg': _bytes(colour, 'JPEG'),
        'jpeg progressive': _bytes(colour, 'JPEG', progressive=True),
        'jpeg grey': _bytes(colour.convert('L'), 'JPEG'),
        'jpeg cmyk': _bytes(colour.convert('CMYK'), 'JPEG'),
        'jpeg restarts': _bytes(colour, 'JPEG', restart_marker_blocks=2),
        'jpeg turned': _bytes(colour, 'JPEG', exif=_exif(6)),
        'png': _bytes(colour, 'PNG'),
        'png grey': _bytes(colour.convert('L'), 'PNG'),
        'png 1 bit': _bytes(colour.convert('1'), 'PNG'),
        'png palette': _bytes(colour.convert('P'), 'PNG'),
        'png alpha': _bytes(colour.convert('RGBA'), 'PNG'),
        'png 16 bit': _bytes(deep, 'PNG'),
        'bmp': _bytes(colour, 'BMP'),
        'webp': _bytes(colour, 'WEBP', lossless=True),
        'tiff': _bytes(colour, 'TIFF', compression='tiff_lzw'),
    }


def broken(known: dict[str, bytes], rng: random.Random) -> Broken:
    """Break one of the pictures, in one of many ways."""
    # most pictures of people are of these two kinds
    likely = [name for name in known if name.startswith(('jpeg', 'png'))]
    name = rng.choice(likely if rng.random() < 0.85 else list(known))
    way: Callable = rng.choices(*zip(*_WAYS, strict=True))[0]
    return way(name, known[name], rng)


def solid(width: int, height: int, name: str) -> bytes:
    """A picture of one grey, whose file is small, whatever its size."""
    picture = Image.new('RGB', (width, height), (99, 99, 99))
    options = dict(progressive=True) if name == 'progressive' else {}
    return _bytes(picture, 'PNG' if name == 'png' else 'JPEG', **options)


def _bytes(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _exif(orientation: int, taken: str = '2026:11:30 12:00:00') -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif.get_ifd(_EXIF)[_TAKEN] = taken
    return exif.tobytes()


def _flip(data: bytes, rng: random.Random, most: int = 20) -> bytes:
    """Change up to ``most`` bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def _flipped(name: str, data: bytes, rng: random.Random) -> Broken:
    return Broken(_flip(data, rng), ANY, name)


def _cut(name: str, data: bytes, rng: random.Random) -> Broken:
    # other formats may end with bytes that nobody needs
    exact = name.startswith(('jpeg', 'png'))
    end = rng.randrange(len(data))
    return Broken(data[:end], REFUSED if exact else ANY, name)


def _zeroed(name: str, data: bytes, rng: random.Random) -> Broken:
    """As left by a disk or a download that broke off."""
    start, length = rng.randrange(len(data)), rng.randint(1, len(data))
    changed = bytearray(data)
    changed[start : start + length] = bytes(len(changed[start:][:length]))
    return Broken(bytes(changed), ANY, name)


def _trailing(name: str, data: bytes, rng: random.Random) -> Broken:
    return Broken(data + rng.randbytes(rng.randint(1, 3000)), SAME, name)


def _resized(name: str, data: bytes, rng: random.Random) -> Broken:
    """Another size in the header."""
    width, height = (rng.choice((*_SIDES, rng.randrange(200))) for _ in '12')
    changed = bytearray(data)
    if name.startswith('png'):
        ihdr = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
        changed[12:33] = ihdr + struct.pack('>I', zlib.crc32(ihdr))
    elif name.startswith('jpeg'):
        at = _frame_header(data)
        changed[at + 5 : at + 9] = struct.pack('>HH', height, width)
    elif name == 'bmp':
        changed[18:26] = struct.pack(
            '<ii', width, rng.choice((1, -1)) * height
        )
    else:
        return _flipped(name, data[:60], rng)
    return Broken(bytes(changed), ANY, name)


def _frame_header(data: bytes) -> int:
    """Where a JPEG says its size: baseline or progressive."""
    return max(data.find(b'\xff\xc0\x00'), data.find(b'\xff\xc2\x00'))


def _with_segment(name: str, data: bytes, rng: random.Random) -> Broken:
    """A segment or chunk more: any, or one whose length is a lie."""
    content = rng.randbytes(rng.choice((0, 1, 5, 40, 3000)))
    if name.startswith('png'):
        kind = rng.choice(_NAMES.split())
        crc = zlib.crc32(kind + content) ^ (rng.random() < 0.3)
        length = len(content) ^ rng.choice((0, 0, 1, 1 << 20, 1 << 31))
        more = struct.pack('>I', length) + kind + content
        more += struct.pack('>I', crc)
        at = rng.choice((8, 33, len(data) - 12))
    elif name.startswith('jpeg'):
        kind = rng.choice((*range(0xC0, 0xD0), *range(0xD8, 0xFF)))
        length = (len(content) + 2) ^ rng.choice((0, 0, 1, 255, 1 << 15))
        more = struct.pack('>BBH', 0xFF, kind, length) + content
        at = rng.choice((2, _frame_header(data), data.find(b'\xff\xda')))
    else:
        more, at = content, rng.randrange(len(data))
    return Broken(data[:at] + more + data[at:], ANY, name)


def _turned(name: str, data: bytes, rng: random.Random) -> Broken:
    """An orientation and a time of Exif, perhaps damaged."""
    orientation = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 65_535))
    times = '2026:11:30 12:00:00', '0001:01:01 00:00:00', '', 'noon', '\0' * 9
    exif = _exif(orientation, rng.choice(times))
    if rng.random() < 0.5:
        exif = exif[:6] + _flip(exif[6:], rng, 6)
    if name.startswith('png'):
        chunk = b'eXIf' + exif[6:]
        more = struct.pack('>I', len(exif) - 6) + chunk
        more += struct.pack('>I', zlib.crc32(chunk))
        return Broken(data[:33] + more + data[33:], SAME, name)
    if name.startswith('jpeg'):
        more = struct.pack('>HH', 0xFFE1, len(exif) + 2) + exif
        return Broken(data[:2] + more + data[2:], SAME, name)
    return _flipped(name, data, rng)


def _scanned(name: str, data: bytes, rng: random.Random) -> Broken:
    """Scans that come again and again."""
    start = data.rfind(b'\xff\xda')
    if not name.startswith('jpeg') or start < 0:
        return _flipped(name, data, rng)
    scan = data[start:-2]
    return Broken(data[:-2] + scan * rng.choice((1, 9, 400)), ANY, name)


def _joined(name: str, data: bytes, rng: random.Random) -> Broken:
    """The beginning of one picture and the rest of another."""
    other = rng.choice(list(originals().values()))
    at = rng.randrange(min(len(data), len(other)))
    return Broken(data[:at] + other[at:], ANY, name)


def _tiny(name: str, data: bytes, rng: random.Random) -> Broken:
    """Nobody can be seen in it."""
    size = rng.choice(
        ((1, 1), (3000, 1), (1, 3000), (15, 15), (15, 400), (16, 801))
    )
    kind = rng.choice(('PNG', 'JPEG', 'BMP', 'WEBP', 'TIFF'))
    return Broken(_bytes(Image.new('RGB', size), kind), REFUSED, name)


def _moving(name: str, data: bytes, rng: random.Random) -> Broken:
    """Several frames in one file."""
    shades = 0, 99, 200  # else an encoder would write one frame
    frames = [Image.new('RGB', (WIDTH, HEIGHT), (n, 9, 9)) for n in shades]
    kind = rng.choice(('PNG', 'WEBP', 'GIF'))
    whole = _bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    if rng.random() < 0.5:
        return Broken(whole, REFUSED, name)
    return Broken(_flip(whole, rng), ANY, name)


def _other(name: str, data: bytes, rng: random.Random) -> Broken:
    """No picture, or none of a kind that is read."""
    side = rng.choice((100, 8000, 20_000, 60_000))
    size = f'{side} {side}'.encode()
    box = struct.pack('>II', 100, 100)
    contents = (
        b'',
        b'<!DOCTYPE html><html><body>404 not found</body></html>',
        b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>',
        b'version https://git-lfs.github.com/spec/v1\nsize 12345\n',
        b'PK\x03\x04' + rng.randbytes(300),
        b'%PDF-1.7\n' + rng.randbytes(300),
        rng.randbytes(rng.randint(1, 3000)),
        bytes(rng.randint(1, 3000)),
        b'#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n' % (side, side),
        b'P6 ' + size + b' 255\n' + bytes(100),
        b'P5 ' + size + b' 65535\n',
        b'Pf\n' + size + b'\n-1.0\n',
        b'P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n'
        % (side, side),
        b'\x59\xa6\x6a\x95' + struct.pack('>7I', side, side, 24, 0, 1, 0, 0),
        b'GIF89a' + struct.pack('<HH', side, side) + b'\xf0\0\0' + bytes(6),
        b'\x00\x00\x00\x0cjP  \r\n\x87\n' + box,
        b'8BPS\x00\x01'
        + bytes(6)
        + struct.pack('>HIIHH', 3, side, side, 8, 3),
    )
    return Broken(rng.choice(contents), REFUSED, name)


#: Ways and how likely they are.
_WAYS: tuple[tuple[Callable, float], ...] = (
    (_flipped, 30),
    (_cut, 10),
    (_zeroed, 6),
    (_trailing, 3),
    (_resized, 14),
    (_with_segment, 14),
    (_turned, 10),
    (_scanned, 2),
    (_joined, 5),
    (_tiny, 2),
    (_moving, 3),
    (_other, 4),
)
