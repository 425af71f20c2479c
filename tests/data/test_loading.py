"""From a name to splits of any kind."""

import numpy as np
import pytest

from cnnkit.data import loading
from cnnkit.errors import ConfigError, DataError
from cnnkit.inputs.image.records import ImageRecords
from cnnkit.inputs.text.records import TextRecords
from cnnkit.tasks.detection.records import BoxRecords
from tests import toy_texts


def test_what_data_is_for_decides_which_kind_reads_it(tmp_path, class_folders):
    images = loading.load(class_folders({"a": 12, "b": 12}), test=0.25)
    assert type(images.train) is ImageRecords and len(images.test) == 6
    assert images.train.read(np.arange(2))[0].dtype == np.uint8
    (tmp_path / "texts.csv").write_text(toy_texts.table(toy_texts.rows(60, 1)))
    assert isinstance(loading.load(tmp_path / "texts.csv", task="text", max_length=8).train, TextRecords)
    assert isinstance(loading.load("road-scenes", limit=8).train, BoxRecords)


def test_what_cannot_be_loaded_is_said(tmp_path, class_folders):
    with pytest.raises(DataError, match="no data set 'nothing'"):
        loading.load("nothing")
    with pytest.raises(ConfigError, match="`test` is the part to hold out"):
        loading.load(class_folders({"a": 4, "b": 4}), test=2)
    about = "".join(f'{key} = "x"\n' for key in ("title", "licence", "source", "citation"))
    (tmp_path / "x.toml").write_text(
        f'{about}task = "juggling"\nreader = "csv"\nsplits = {{train = {{file = "x.csv"}}}}\n'
    )
    with pytest.raises(DataError, match="juggling"):
        loading.load(tmp_path / "x.toml")
