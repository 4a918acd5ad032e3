"""docs/security.md: a sandbox has one account, made up: programs that ask who they are get an answer, and none about the host."""

import tempfile
from pathlib import Path

import pytest


def who():
    import getpass
    import grp
    import os
    import pathlib
    import pwd

    def main():
        account, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
        open("mine", "w").close()
        return {
            "user": getpass.getuser(), "account": list(account), "by name": pwd.getpwnam(account.pw_name).pw_uid, "all": len(pwd.getpwall()),
            "group": [group.gr_name, group.gr_gid, grp.getgrnam(group.gr_name).gr_gid, len(grp.getgrall())],
            "home": [os.path.expanduser("~"), os.path.expanduser("~sandbox/x"), str(pathlib.Path.home()), str(pathlib.Path("~").expanduser())],
            "owner": [pathlib.Path(place).owner() + ":" + pathlib.Path(place).group() for place in ("mine", "out", "/tmp")],
            "environment": [os.environ[name] for name in ("HOME", "USER", "LOGNAME")], "login": os.getenv("SHELL"),
        }


def test_a_job_knows_who_it_is(execute):
    assert execute(who).result == {
        "user": "sandbox", "account": ["sandbox", "x", 1000, 1000, "", "/tmp", "/usr/sbin/nologin"], "by name": 1000, "all": 1,
        "group": ["sandbox", 1000, 1000, 1], "home": ["/tmp", "/tmp/x", "/tmp", "/tmp"], "owner": ["sandbox:sandbox"] * 3,
        "environment": ["/tmp", "sandbox", "sandbox"], "login": None,
    }


def test_there_is_no_other_account(execute):
    def main():
        import grp
        import os
        import pwd

        told = []
        for ask, what in ((pwd.getpwuid, 0), (pwd.getpwnam, "root"), (grp.getgrgid, 0), (grp.getgrnam, "root")):
            try:
                told.append(ask(what)[0])
            except KeyError:
                told.append(None)
        return told + [sorted(os.listdir("/etc"))]

    assert execute(main).result == [None] * 4 + [["group", "passwd"]]


def test_it_is_the_cells_own_and_cannot_be_changed(execute):
    def main():
        import errno
        import fcntl
        import os

        def tried(call, *arguments):
            try:
                call(*arguments)
                return "done"
            except OSError as error:
                return errno.errorcode[error.errno]

        lock = open("/etc/passwd")
        # Nobody else has this file: a lock that is left waits for nobody.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return [tried(open, "/etc/passwd", "a"), tried(os.unlink, "/etc/passwd"), tried(os.rename, "/etc/passwd", "/tmp/x"), tried(open, "/etc/new", "w"),
                tried(os.chmod, "/etc/passwd", 0o777), tried(os.link, "/etc/passwd", "/tmp/x"), tried(os.mkdir, "/etc/new"), tried(os.utime, "/etc/group")]

    for _ in range(2):
        assert set(execute(main).result) <= {"EROFS", "EACCES", "EPERM", "EXDEV"}


@pytest.fixture
def shown():
    with tempfile.TemporaryDirectory(prefix="suite-etc-") as directory:
        place = Path(directory)
        (place / "passwd").write_text("ada:x:1000:1000:Ada:/home/ada:/bin/false\n")
        (place / "certificates").mkdir()
        for path in (place, *place.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield place


def test_what_a_profile_shows_is_there_instead(start_service, shown):
    profile = '[profile.{}]\nextends = "default"\nwarm = false\nfilesystem.read_only = ["{}:{}"]\n'
    service = start_service(policy="".join((
        profile.format("file", shown / "passwd", "/etc/passwd"), profile.format("directory", shown, "/etc"),
        profile.format("beside", shown / "certificates", "/etc/ssl/certs"),
    )))
    look = "import grp, os, pwd\ndef main():\n    return [pwd.getpwuid(1000).pw_name, sorted(os.listdir('/etc')) if {} else None, os.path.exists('/etc/group')]"
    ask = lambda profile, lists=False: service.client.execute(look.format(lists), profile=profile).result
    assert ask("file") == ["ada", None, True]
    assert ask("directory", True) == ["ada", ["certificates", "passwd"], False]
    assert ask("beside") == ["sandbox", None, True]


def test_a_runtime_may_say_another_name(start_service):
    from service import POLICY

    text = POLICY.read_text()
    runtime = text[text.index("[runtime.python]"):text.index("# The profile of requests")].replace("[runtime.python]", "[runtime.named]")
    runtime = runtime.replace("environment = {}", 'environment = { USER = "ada", OMP_NUM_THREADS = "3" }')
    service = start_service(policy=runtime + '\n[profile.named]\nextends = "default"\nruntime = "named"\nwarm = false\ncpus = 1.5\n')
    names = ["USER", "LOGNAME", "OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT"]
    script = f"import getpass, os\ndef main():\n    return [getpass.getuser(), *map(os.environ.get, {names})]"
    # `getpass` asks LOGNAME first.
    assert service.client.execute(script, profile="named").result == ["sandbox", "ada", "sandbox", "3", "2"]
