"""What `up` keeps in its data dir: the lock and the secrets, on the real disk."""

import os
import stat
import subprocess
import sys

import pytest

from cli.errors import WrongUsage
from cli.local import data_dir
from tests.parts.stack import ROOT


def test_one_data_dir_has_one_up(tmp_path):
    with (
        data_dir.locked(tmp_path / "var"),
        pytest.raises(WrongUsage, match=rf"pid {os.getpid()}\) already runs in {tmp_path}/var"),
        data_dir.locked(tmp_path / "var", patience=30),  # its holder lives, so there is nothing to be patient for
    ):
        pass
    with data_dir.locked(tmp_path / "var"):
        pass


def test_the_parts_of_a_killed_up_are_waited_for(tmp_path):
    """The reaper holds the lock open until it has ended them; here a child stands for it."""
    imports = "import os; from pathlib import Path; from cli.local import data_dir\n"
    code = imports + "with data_dir.locked(Path('.')) as held: {}"
    child = "import subprocess, sys; p = subprocess.Popen(['sleep', '0.7'], pass_fds=[held]); os._exit(9)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code.format(child)], cwd=tmp_path, env=env, check=False)
    with pytest.raises(WrongUsage), data_dir.locked(tmp_path):
        pass
    with data_dir.locked(tmp_path, patience=10):
        pass


def test_secrets_are_made_once_and_are_for_their_owner_alone(tmp_path):
    made = data_dir.keep_secrets(tmp_path)
    assert data_dir.keep_secrets(tmp_path) == made
    assert len(made.secret_key.encode()) >= 32
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert len({made.secret_key, made.admin_key, made.flower_password, made.sandbox_key}) == 4


@pytest.mark.parametrize("content", ["", "{}", '{"secret_key": 5}'])
def test_broken_secrets_are_not_replaced_in_silence(tmp_path, content):
    path = tmp_path / "secrets.json"
    path.write_text(content)
    with pytest.raises(WrongUsage, match=r"secrets\.json cannot be read"):
        data_dir.keep_secrets(tmp_path)
    assert path.read_text() == content


def test_a_data_dir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(WrongUsage, match=r"RETOUCH_DATA_DIR: .*/file/var cannot be made"),
        data_dir.locked(tmp_path / "file" / "var"),
    ):
        pass
