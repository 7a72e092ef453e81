from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorum.core.errors import InputError
from quorum.models.copyright.catalogue.hash_lists import HashList, read_hashes, write_hashes
from quorum.models.fingerprint import pdq
from tests.models.copyright.prints import made_up

HASH = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
OTHER = HASH[::-1]


@pytest.mark.parametrize(
    ("text", "quality", "times"),
    [
        (f"0,100,{HASH},0.000\n30,77,{OTHER},1.001\n", [100, 77], [0.0, 1.001]),
        (f"{HASH}\n\n# a comment\n{OTHER}\n", [100, 100], [0.0, 1.0]),
        (f"{HASH},100,bridge.jpg\n{OTHER},42,road.jpg\n", [100, 42], [0.0, 1.0]),
        (
            f"hash={HASH},norm=128,quality=100,filename=a\nhash={OTHER},quality=9,filename=b\n",
            [100, 9],
            [0.0, 1.0],
        ),
        (f"{HASH},idx=1\n{OTHER},idx=2\n", [100, 100], [0.0, 1.0]),
        (f"{HASH},100,0.0\n{OTHER},51,2.5\n", [100, 51], [0.0, 2.5]),
        (json.dumps([f"{HASH},100,0.0", f"{OTHER},51,2.5"], indent=1), [100, 51], [0.0, 2.5]),
        (
            json.dumps(
                {
                    "0": {"quality": 100, "hash": HASH, "timestamp": 0.0},
                    "75": {"quality": 51, "hash": OTHER, "timestamp": 2.5},
                }
            ),
            [100, 51],
            [0.0, 2.5],
        ),
    ],
)
def test_lists_are_read_in_each_form(tmp_path, text, quality, times):
    (tmp_path / "list").write_text(text)
    found = read_hashes(tmp_path / "list")
    assert [pdq.to_hex(each) for each in found.published] == [HASH, OTHER]
    assert found.quality.tolist() == quality
    assert found.times.tolist() == pytest.approx(times, abs=1e-4)
    assert (found.views == found.published[:, None]).all()


@pytest.mark.parametrize("form", list(HashList))
def test_what_is_written_is_read(tmp_path, form):
    _, found = made_up("w", 24)
    path = tmp_path / f"w.{form.value}"
    assert write_hashes(path, found, form) == 24
    again = read_hashes(path)
    np.testing.assert_array_equal(again.published, found.published)
    np.testing.assert_array_equal(again.quality, found.quality)
    if form is not HashList.PLAIN:
        np.testing.assert_allclose(again.times, found.times, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "contains no hash"),
        ("0,100,abcd,0.0\n", ":1: neither"),
        (f"{HASH}\n{HASH}x\n", ":2: neither"),
        (f"0,101,{HASH},0.0\n", ":1: neither"),
        (f"0,100,{HASH},nan\n", ":1: neither"),
        ("[1]", "not a vPDQ signal"),
        (json.dumps([HASH]), "not a vPDQ signal"),
        ('{"works": []}', "not a vPDQ signal"),
        ("[" * 9999, "not a vPDQ signal"),
        (
            f'{{"0": {{"hash": "{HASH}", "quality": Infinity, "timestamp": 0}}}}',
            "not a vPDQ signal",
        ),
    ],
)
def test_what_is_no_list_is_told(tmp_path, text, told):
    (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match=told):
        read_hashes(tmp_path / "list")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_is_read_or_told(tmp_path, data):
    (tmp_path / "any").write_bytes(data)
    try:
        assert len(read_hashes(tmp_path / "any").times)
    except InputError as error:
        assert str(tmp_path) in str(error)
