"""What `load` said when it refused."""

import pytest

from config.settings import SettingsError, load


def faults(environ, dotenv=None):
    with pytest.raises(SettingsError) as refused:
        load(environ, dotenv)
    assert str(refused.value).count("\n") == len(refused.value.faults)
    return {fault.name: fault.problem for fault in refused.value.faults}
