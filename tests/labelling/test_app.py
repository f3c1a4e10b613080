"""The address of the label page."""

import socket
from urllib.parse import urlsplit

import pytest

from pfes.base.errors import InputError
from pfes.labelling.app import serve


def test_the_address_takes_visitors_as_soon_as_it_is_said():
    def visit(address):
        parts = urlsplit(address)
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(None, visit)


@pytest.mark.parametrize("port", [None, 70_000, -1])
def test_a_port_that_cannot_be_had_is_one_line(port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"--port -?\d+: .*; leave it out"):
            serve(None, pytest.fail, taken.getsockname()[1] if port is None else port)
