import base64

import cv2
import jinja2
import numpy as np
import pytest

from mmps.visualization.pages import (
    Picture,
    Section,
    data_uri,
    fill_template,
    write_index,
)


def test_an_index_shows_pictures_and_escapes_text(tmp_path):
    sections = [
        Section('One & two', [Picture('a b#1.jpg', '<script>')]),
        Section('Nobody', []),
    ]
    write_index(tmp_path, 'A <b>', ['note >'], sections)
    page = (tmp_path / 'index.html').read_text()
    assert 'src="a%20b%231.jpg"' in page
    assert '&lt;script&gt;' in page
    assert '<script' not in page
    assert 'A &lt;b&gt;' in page
    assert 'One &amp; two' in page
    assert 'Nobody' not in page
    assert "default-src 'none'" in page


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match='notes'):
        fill_template('pictures.html', title='t', sections=[])


def test_a_picture_inside_the_page_is_the_picture():
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, 15:] = (0, 160, 0)
    kind, text = data_uri(picture, quality=95).split(',')
    assert kind == 'data:image/jpeg;base64'
    jpeg = np.frombuffer(base64.b64decode(text), np.uint8)
    again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR).astype(int)
    assert np.abs(again - picture)[:, [2, 27]].max() < 12
