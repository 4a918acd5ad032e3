"""What is said of a module that is not there: which are near, what Python has in its place, and who can add one."""

import os
import sys

from .given import given_calls
from .texts import clip

MOST_PACKAGES = 40

NOT_AT_RUN_TIME = "packages cannot be installed while a job runs; the operator adds them to the profile's runtime"

# What the standard library has for what packages are often imported for.
IN_PYTHON = {
    "pytz": "zoneinfo", "tzlocal": "zoneinfo", "simplejson": "json", "ujson": "json", "orjson": "json", "rapidjson": "json", "toml": "tomllib", "tomli": "tomllib",
    "mock": "unittest.mock", "nose": "unittest", "pytest": "unittest", "pathlib2": "pathlib", "regex": "re", "attr": "dataclasses", "attrs": "dataclasses",
    "pydantic": "dataclasses", "lxml": "xml.etree.ElementTree", "bs4": "html.parser", "openpyxl": "csv", "xlsxwriter": "csv", "xlrd": "csv",
    "pyarrow": "csv", "fastparquet": "csv", "psycopg2": "sqlite3", "MySQLdb": "sqlite3", "pymysql": "sqlite3", "sqlalchemy": "sqlite3", "duckdb": "sqlite3",
    "Crypto": "hashlib", "cryptography": "hashlib", "bcrypt": "hashlib", "StringIO": "io", "cStringIO": "io", "cPickle": "pickle", "dill": "pickle", "cloudpickle": "pickle",
    "urllib2": "urllib.request", "urlparse": "urllib.parse", "ConfigParser": "configparser", "Queue": "queue", "imp": "importlib", "__builtin__": "builtins",
    "sortedcontainers": "bisect", "joblib": "concurrent.futures", "tabulate": "textwrap", "dotenv": "configparser",
}
NETWORKED = frozenset("requests httpx aiohttp urllib3 boto3 botocore openai anthropic selenium playwright yfinance paramiko websockets grpc redis pymongo httplib2 pycurl".split())
INSTALLERS = frozenset("pip setuptools ensurepip pkg_resources conda uv micropip".split())


def missing_module(error):
    """The reason and the words for an ImportError, or nothing."""
    name, text = getattr(error, "name", None), clip(str(error))
    if isinstance(error, ModuleNotFoundError) and isinstance(name, str):
        return of_module(name)
    if text.startswith("cannot import name"):
        return of_name(name, text)
    if text.startswith("attempted relative import"):
        return "missing_module", "the script is in no package: without the dots, `import name` finds name.py among the files of the request"
    if "shared object" in text:
        return "missing_library", f"a library of the system that the module needs is not in this profile's runtime; {NOT_AT_RUN_TIME}"
    return "missing_module", f"this profile has {packages()}; {NOT_AT_RUN_TIME}"


def of_module(name):
    first, _, rest = name.partition(".")
    if first == "cloister" and given_calls[0] is None and first not in sys.modules:
        return "missing_module", "the request names no tools, which is what a script imports of cloister: they are its field `tools`"
    if first in INSTALLERS:
        return "missing_module", f"{NOT_AT_RUN_TIME}; this profile has {packages()}"
    parent = sys.modules.get(first)
    if rest and parent is not None:
        near = nearest(name.rpartition(".")[2], inside(sys.modules.get(name.rpartition(".")[0], parent)))
        return "missing_module", f"{first} is there, and has no module {name}" + (f"; {near}" if near else "")
    own = f"a module of your own comes with the files of the request, as {clip(first[:100])}.py"
    parts = [nearest(first, top_level()), instead_of(first) or own, f"this profile has {packages()}", NOT_AT_RUN_TIME]
    return "missing_module", "; ".join(part for part in parts if part)


def of_name(module, text):
    import re

    wanted = re.match(r"cannot import name '([^']+)'", text)
    near = nearest(wanted[1], list(vars(sys.modules[module]))) if wanted and module in sys.modules else ""
    return ("missing_module", near) if near else None


def nearest(name, names):
    import difflib

    near = difflib.get_close_matches(name, [known for known in names if isinstance(known, str) and known != name], 3, 0.75)
    return f"near it: {', '.join(near)}" if near else ""


def instead_of(name):
    if name in NETWORKED:
        return "a job reaches no host" if is_without_network() else "Python's own urllib.request and sockets are there"
    own = IN_PYTHON.get(name)
    if own and own.partition(".")[0] in sys.stdlib_module_names:
        return f"Python's own {own} is there and may do"
    return "it is a part of Python that this one comes without" if name in sys.stdlib_module_names else ""


def is_without_network():
    import socket

    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError:
        return True
    return False


def installed():
    """The modules that are beside Python's own."""
    import pkgutil

    own, here = os.path.dirname(os.__file__), os.getcwd()
    places = [place for place in sys.path if place.startswith("/") and place != here and not (place + "/").startswith((own + "/", "/tmp/"))]
    places += [own + end for end in ("/site-packages", "/dist-packages") if own + end in sys.path]
    return sorted({module.name for module in pkgutil.iter_modules(places) if not module.name.startswith("_")})


def packages():
    names = installed()
    if not names:
        return "the standard library alone"
    more = f" and {len(names) - MOST_PACKAGES} more" if len(names) > MOST_PACKAGES else ""
    return f"the standard library, {', '.join(names[:MOST_PACKAGES])}{more}"


def top_level():
    return [*(name for name in sys.stdlib_module_names if not name.startswith("_")), *installed()]


def inside(package):
    import pkgutil

    return [module.name for module in pkgutil.iter_modules(getattr(package, "__path__", ()))]
