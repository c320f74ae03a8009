"""What can be wrong with the bytes and the values of any file."""

import copy
import json
import random
import re
from collections.abc import Callable

#: Values that stand where others belong.
_DEEP = json.loads('[' * 40 + ']' * 40)
ODD = (
    *(None, True, False, 0, -1, 1, 2, 2**31, 2**63, 10**400, -(10**30)),
    *(0.5, -0.0, 1e-320, 1e308, -1e308, float('nan'), float('inf')),
    *('', ' ', '0', '-1', 'nan', 'x' * 5000, '../../x', '/etc/passwd'),
    *('a\0b', '\ud800', 'é\u202e', '\n', '{}', '%(x)s', '-', '1e999'),
    *([], {}, [0], [[]], {'a': 1}, _DEEP, list(range(300))),
)
#: Words that stand where numbers and names belong, in a text.
WORDS = (
    *('', 'x', '-1', '0', '1e308', '-1e308', 'nan', 'inf', '1e999', '0x1f'),
    *('9' * 400, '9' * 5000, '1_0', '½', '٣', '-2', '0.5', '1,2', '..', '/'),
    *('%(x)s', '&x;', '<', '"', "'", '\0', '\r', '\u2028', 'é', '\ufeff'),
)


def broken_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, blank, insert, or repeat."""
    if not data:
        return rng.randbytes(rng.randint(1, 30))
    changed = bytearray(data)
    start, length = rng.randrange(len(data)), rng.randint(1, 60)
    way = rng.randrange(6)
    if way < 2:
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(data))] = rng.randrange(256)
    elif way == 2:
        del changed[start:]
    elif way == 3:
        part = changed[start : start + length]
        changed[start : start + length] = bytes(len(part))
    elif way == 4:
        odd = (b'\xff\xfe', b'\xef\xbb\xbf', b'\xc3', b'\0', b'\r\n')
        changed[start:start] = rng.choice((*odd, rng.randbytes(length)))
    else:
        changed[start:start] = changed[start : start + length]
    return bytes(changed)


def broken_words(text: str, rng: random.Random) -> bytes:
    """Replace, drop or repeat words and lines of a text."""
    parts = re.split(r'([^\w.\-]+)', text)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(parts))
        parts[at] = rng.choice((*WORDS, parts[at] * 2))
    changed = ''.join(parts)
    if rng.random() < 0.2:
        lines = changed.splitlines(keepends=True) or ['']
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
        changed = ''.join(lines)
    return changed.encode('utf-8', 'surrogatepass')


def broken_tree(tree: object, rng: random.Random) -> object:
    """Change one to three values, keys or lengths of nested plain data."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            break
        holder, key = rng.choice(places)
        _change(holder, key, rng)
    return tree


def _places(tree: object):
    """Every (dict or list, key or index) in it."""
    items = ()
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, list):
        items = list(enumerate(tree))
    for key, value in items:
        yield tree, key
        yield from _places(value)


def _change(holder: dict | list, key, rng: random.Random) -> None:
    way = rng.randrange(8)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif way == 2 and isinstance(holder, dict):
        holder[rng.choice(('x', '', 'id', key[:-1]))] = holder.pop(key)
    elif way == 3 and _is_number(holder[key]):
        factor = rng.choice((-1, 0, 1e3, 1e-3, 1e306, 1.5))
        holder[key] = holder[key] * factor
    elif way == 4:
        other = rng.choice(list(_places(holder)))
        holder[key] = copy.deepcopy(other[0][other[1]])
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300


def broken_json(text: str, rng: random.Random) -> bytes:
    """A JSON text with other values, or one that is odd as a text."""
    way = rng.random()
    if way < 0.7:
        tree = broken_tree(json.loads(text), rng)
        return json.dumps(tree).encode()
    if way < 0.8:
        return broken_words(text, rng)
    if way < 0.9:
        return broken_bytes(text.encode(), rng)
    return rng.choice(_odd_json(rng))(text)


def _odd_json(rng: random.Random) -> tuple[Callable[[str], bytes], ...]:
    depth = rng.choice((500, 5000, 300_000))
    return (
        lambda text: ('[' * depth + ']' * depth).encode(),
        lambda text: ('{"a":' * depth + '1' + '}' * depth).encode(),
        lambda text: f'[{"9" * depth}]'.encode(),
        lambda text: text.encode('utf-16'),
        lambda text: b'\xef\xbb\xbf' + text.encode(),
        # the same keys again
        lambda text: (text.rstrip()[:-1] + ',' + text.strip()[1:]).encode(),
        lambda text: text.replace('"id"', '"id":0,"id"', 1).encode(),
        lambda text: b'',
        lambda text: b'null',
    )
