"""Keys for the gateways of tests, made by the real command."""

import os
import subprocess

from service import GATEWAY_ID, binary


class KeyFile:
    """A key file in a directory of the gateway's group, changed by the real command."""

    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o750)
        os.chown(directory, 0, GATEWAY_ID)
        self.path = directory / "keys.toml"

    def __call__(self, *arguments):
        command = [binary("cloister"), "keys", "--keys", self.path, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def bearer(key):
    return {"Authorization": f"Bearer {key}"}
