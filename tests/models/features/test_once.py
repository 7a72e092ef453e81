import threading
import time

import pytest

from quorum.models.features.once import once


def test_threads_share_what_one_of_them_made():
    made = []

    @once
    def shared():
        made.append(object())
        time.sleep(0.05)
        return made[-1]

    seen = []
    threads = [threading.Thread(target=lambda: seen.append(shared())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert seen == made * 8


def test_an_error_is_not_kept():
    tries = []

    @once
    def shared():
        tries.append(1)
        if len(tries) == 1:
            raise OSError("away")
        return "here"

    with pytest.raises(OSError, match="away"):
        shared()
    assert shared() == "here"
    assert shared() == "here"
    assert len(tries) == 2
