from mmengine.config import ConfigDict

from mmps.plain_model import plain_model


def test_a_plain_model_has_no_distiller_and_is_a_copy():
    model = ConfigDict(type='A', head=dict(type='B'), distiller=dict(type='C'))
    plain = plain_model(model)
    assert plain == dict(type='A', head=dict(type='B'))
    plain.head.type = 'D'
    assert model.head.type == 'B'
    assert model.distiller.type == 'C'


def test_a_model_without_distiller_is_as_it_was():
    assert plain_model(dict(type='A')) == dict(type='A')
