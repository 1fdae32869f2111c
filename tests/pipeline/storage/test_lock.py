import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gritmill.pipeline.storage.lock import BEAT, NAME, Held, hold, locked
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def test_the_second_run_on_a_directory_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with (
        locked(store),
        pytest.raises(UserError, match=r"another run \(process \d+ on .*--work"),
        locked(store),
    ):
        pass
    with locked(store):
        pass


@pytest.mark.parametrize(("age", "free"), [(0.0, False), (10 * BEAT, True)])
def test_a_lock_in_an_object_store_lives_as_long_as_it_is_renewed(age: float, free: bool) -> None:
    store = Store(f"memory://lock-{age}")
    store.write(NAME, json.dumps({"holder": "process 1 on elsewhere", "time": time.time() - age}).encode())
    if free:
        with locked(store):
            assert "elsewhere" not in store.read(NAME).decode()
        assert not store.exists(NAME)
    else:
        with pytest.raises(UserError, match="process 1 on elsewhere"), locked(store):
            pass


def test_a_read_only_work_directory_is_a_sentence(
    write_recipe: Callable[..., Path], cli: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    recipe = write_recipe("type: scenes, count: 4", ["image_check"])
    done = cli("run", recipe, "--runner", "local", "--work", tmp_path / "file" / "work")
    assert done.returncode == 2  # type: ignore[attr-defined]
    assert "Choose another with --work" in done.stderr  # type: ignore[attr-defined]
    assert "Traceback" not in done.stderr  # type: ignore[attr-defined]


def test_a_forked_worker_keeps_no_lock_of_a_parent_that_is_gone(tmp_path: Path) -> None:
    file = hold(tmp_path / "lock")
    with pytest.raises(Held, match=r"process \d+ on "):
        hold(tmp_path / "lock")
    (told, tell), (ends, end) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.write(tell, b".")
        os.read(ends, 1)  # until the parent has looked
        os._exit(0)
    os.read(told, 1)
    # As a kill would, without the unlocking that a `with` might do.
    os.close(file.fileno())
    hold(tmp_path / "lock").close()
    os.close(end)
    os.waitpid(child, 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.close()
