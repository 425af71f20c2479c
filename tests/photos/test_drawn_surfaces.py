"""Drawn surfaces: each a function of its seed and number, of six kinds, as varied as they are said to be."""

import hashlib

import numpy as np
import pytest

import cnnkit
from cnnkit_photos.drawn_surfaces import LABELS, SIDE, Surfaces, draw


def test_there_are_the_six_kinds_of_steel_mills_alike_many():
    pictures = Surfaces(3)
    assert LABELS == ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
    assert len(pictures) == 18 and np.bincount(pictures.codes()).tolist() == [3] * 6


@pytest.mark.parametrize("kind", range(6), ids=LABELS)
def test_a_picture_follows_from_its_seed_and_number_alone(kind):
    first = draw(0, kind)
    assert first.shape == (SIDE, SIDE) and first.dtype == np.uint8 and 5 < first.std() < 120
    draw(3, 1)  # whatever was drawn before
    assert np.array_equal(draw(0, kind), first)
    assert not np.array_equal(draw(0, kind + 6), first) and not np.array_equal(draw(1, kind), first)


def test_a_source_draws_a_picture_once_in_any_order_and_keeps_it():
    pictures = Surfaces(4, seed=2)
    last = pictures.native(23)
    assert pictures.native(23) is last and not last.flags.writeable
    assert np.array_equal(Surfaces(4, seed=2).native(23), last)
    batch = pictures.read(np.array([23, 0]), (SIDE, SIDE, 1))
    assert np.array_equal(batch[0, ..., 0], last)


def test_light_and_contrast_tell_nothing_of_the_kind():
    means = np.array([[draw(5, 6 * number + kind).mean() for kind in range(6)] for number in range(20)])
    assert means.std() > 25  # from dark to bright
    assert np.ptp(means.mean(0)) < 45  # patches darken most


def test_what_identifies_pictures_is_their_seed_and_places():
    def digest(pictures, places):
        found = hashlib.sha256()
        pictures.digest(np.array(places), found.update)
        return found.hexdigest()

    assert digest(Surfaces(2), [0, 5]) == digest(Surfaces(9), [0, 5])
    assert len({digest(Surfaces(2, seed), places) for seed in (0, 1) for places in ([0, 5], [5, 0], [0, 4])}) == 6


def test_the_reader_takes_how_many_and_which_seed():
    data = cnnkit.load_data("drawn-surfaces", limit=60)
    assert data.labels == LABELS and data.train.shape == (SIDE, SIDE, 1)
    assert len(data.train) == 60 and len(data.test) == 240


def test_the_pictures_of_this_version_are_these():
    found = hashlib.sha256()
    Surfaces(2).digest(np.array([0, 5]), found.update)
    assert found.hexdigest() == "73baf4fbcee2f1c96bdc77ac4881560a82b236cdb42496d27f32316d8f70abeb"
    looks = [
        (draw(0, kind).mean(), draw(0, kind).std()) for kind in range(6)
    ]  # not bit by bit: OpenCV may round otherwise
    known = [(108.3, 11.8), (214.4, 28.9), (48.5, 15.4), (152.3, 13.8), (163.6, 16.8), (103.2, 12.1)]
    np.testing.assert_allclose(looks, known, atol=0.5)
