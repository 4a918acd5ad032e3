"""What is in the images and in their bills, and that the same input gives the same bytes."""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import BUILD, PROGRAMS, TREE, build

sys.path.insert(0, str(BUILD.parent))

import sbom  # noqa: E402

LARGEST = {"gateway": 20e6, "supervisor": 270e6}
PYTHON = "var/lib/cloister/python/"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"


@pytest.fixture(params=["gateway", "supervisor"])
def image(request, images):
    return images[request.param]


def kind(image):
    return image.name.split("-")[1].split(":")[0]


def test_it_is_a_layout_whose_blobs_have_their_digests(image):
    assert image.read("oci-layout") == {"imageLayoutVersion": "1.0.0"}
    for name in image.archive.getnames():
        if name.startswith("blobs/sha256/") and image.archive.getmember(name).isfile():
            assert hashlib.file_digest(image.archive.extractfile(name), "sha256").hexdigest() == name.rsplit("/", 1)[1]
    assert image.about["rootfs"]["diff_ids"] == [layer["digest"] for layer in image.manifest["layers"]]
    assert (image.about["os"], image.about["architecture"]) == ("linux", "amd64")


def test_it_says_what_it_is_and_how_it_is_run(images):
    for name, image in images.items():
        labels = {key.rsplit(".", 1)[1]: value for key, value in image.config["Labels"].items()}
        assert {"title", "description", "version", "licenses", "created", "vendor"} <= labels.keys()
        assert image.name == f"localhost/cloister-{name}:{labels['version']}" and labels["licenses"] == "Apache-2.0"
        assert image.config["Entrypoint"] == [f"/usr/bin/cloister-{name}"] and image.config["Cmd"][0] == "serve"
    assert images["gateway"].config["User"] == "64510:64510" and images["gateway"].config["ExposedPorts"] == {"8080/tcp": {}}
    assert images["supervisor"].config["User"] == "0:0"


def test_there_is_no_program_but_ours_and_the_interpreter_of_jobs(image):
    ours = {"gateway": {"cloister-gateway"}, "supervisor": {"cloister-supervisor", "cloister-engine", "cloister"}}[kind(image)]
    entries = image.entries()
    executable = {path for path, entry in entries.items() if entry.isfile() and entry.mode & 0o111 and not path.startswith(PYTHON)}
    assert executable == {LOADER, *(f"usr/bin/{program}" for program in ours)}
    programs = {path.rsplit("/", 1)[1] for path in entries if re.search(r"(^|/)s?bin/[^/]+$", path)}
    assert {program for program in programs if not re.fullmatch(r"python[\d.]*", program)} == ours
    assert (PYTHON + "usr/bin/python3" in entries) == (kind(image) == "supervisor")


def test_it_is_small_and_everything_in_it_is_roots_and_without_a_time(image):
    entries = image.entries().values()
    assert sum(entry.size for entry in entries) <= LARGEST[kind(image)]
    for entry in entries:
        assert entry.isfile() or entry.isdir() or entry.issym(), entry.name
        assert (entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) == (0, 0, "", "", 0), entry.name
        assert not entry.mode & 0o6000 and (entry.issym() or not entry.mode & 0o022 or entry.name == "tmp"), entry.name


def test_the_layers_in_common_are_the_same_blob(images):
    first = [image.manifest["layers"][0]["digest"] for image in images.values()]
    assert first[0] == first[1]


def test_the_bill_is_in_the_image_and_beside_it_and_lists_what_is_in_it(image):
    text = image.bill.read_bytes()
    *_, top = image.layers()
    assert top.extractfile("usr/share/cloister/sbom.cdx.json").read() == text
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    components = {each["bom-ref"]: each for each in bill["components"]}
    assert len(components) == len(bill["components"]) and all(each["version"] for each in components.values())
    crates = {each["name"] for ref, each in components.items() if ref.startswith("pkg:cargo/")}
    assert {"cloister-protocol", "hyper", "tokio", "libc"} <= crates
    # TLS is the gateway's, the rules of system calls the supervisor's; what writes code while it is compiled is in neither.
    assert ("rustls" in crates, "seccompiler" in crates) == ((True, False) if kind(image) == "gateway" else (False, True))
    assert not {"syn", "quote", "serde_derive"} & crates
    assert all(each.get("licenses") for ref, each in components.items() if ref.startswith("pkg:cargo/"))
    assert all(each.get("hashes") for ref, each in components.items() if ref.startswith("pkg:cargo/") and "/cloister-" not in ref)
    debian = {each["name"] for ref, each in components.items() if ref.startswith("pkg:deb/")}
    copyrights = {path.split("/")[3] for path in image.entries() if re.fullmatch(r"usr/share/doc/[^/]+/copyright", path)}
    assert copyrights == {"libc6", "libgcc-s1"} <= debian


def test_the_bill_lists_every_package_of_the_tree_and_its_interpreter(images):
    image = images["supervisor"]
    found = {re.search(r"/([^/]+?)-([^/-]+)\.dist-info/METADATA$", path) for path in image.entries()} - {None}
    listed = {(each["name"], each["version"]) for each in json.loads(image.bill.read_text())["components"]
              if each["purl"].startswith("pkg:pypi/")}
    assert listed == {(match[1].lower().replace("_", "-").replace(".", "-"), match[2]) for match in found} and ("numpy" in dict(listed))
    [interpreter] = [each for each in json.loads(image.bill.read_text())["components"] if each["name"] == "cpython"]
    [program] = TREE.glob("usr/bin/python3.*")
    assert interpreter["version"].startswith(program.name.removeprefix("python") + ".")


def test_the_bill_lists_the_packages_that_a_tree_of_another_debian_was_made_of(images):
    """docs/deploy.md: such a tree has an interpreter and a C library that are not this host's."""
    listed = {(each["name"], each["version"]) for each in json.loads(images["supervisor"].bill.read_text())["components"]}
    lines = (TREE / "stamp").read_text().splitlines()[1:]
    of_another = not any(line.endswith("/libc.so.6") for line in lines)
    assert {tuple(line.split()) for line in lines if of_another} <= listed
    unpacked = sbom.unpacked(["libc6 2.41-12+deb13u5", "zlib1g 1:1.3.dfsg+really1.3.1-1+deb13u1"])
    assert [each["purl"] for each in unpacked] == [
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u5?arch=amd64", "pkg:deb/debian/zlib1g@1%3A1.3.dfsg%2Breally1.3.1-1%2Bdeb13u1?arch=amd64"]
    assert sbom.unpacked(["1716000000000000000 1926256 /usr/lib/x86_64-linux-gnu/libc.so.6"]) is None


def test_the_bill_lists_every_font_of_the_tree_with_its_licence(images):
    image, places = images["supervisor"], (PYTHON + "usr/share/fonts/truetype/", PYTHON + "usr/share/doc/fonts/")
    fonts, licences = ({path.removeprefix(place) for path, entry in image.entries().items() if path.startswith(place) and entry.isfile()} for place in places)
    bill = json.loads(image.bill.read_text())["components"]
    listed = {each["name"]: each for each in bill if each["type"] == "data"}
    told = json.loads((TREE / "fonts.json").read_text())
    assert {file for font in told for file in font["files"]} == fonts and len(told) == len(licences) == len(listed)
    for font in told:
        assert (listed[font["name"]]["version"], listed[font["name"]]["licenses"]) == (font["version"], [{"expression": font["licence"]}])
    assert {font["package"].partition("@")[0] for font in told} <= {"pkg:pypi/matplotlib", "pkg:pypi/manimgx-fonts", "pkg:deb/debian/fonts-wqy-microhei"}


@pytest.fixture
def elsewhere():
    with tempfile.TemporaryDirectory(prefix="cloister-images-") as directory:
        yield Path(directory)


def test_the_same_input_gives_the_same_bytes(images, elsewhere):
    """docs/deploy.md: "bit for bit the same from the same programs, tree and revision"."""
    programs = elsewhere / "programs"
    programs.mkdir()
    for name in ("cloister", "cloister-supervisor", "cloister-engine", "cloister-gateway", "libcloister_zygote.so"):
        # Without its times and modes.
        shutil.copyfile(PROGRAMS / name, programs / name)
        (programs / name).chmod(0o700)
    again = build(elsewhere / "again", programs, TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    for name, image in images.items():
        assert image.path.name == again[name].path.name
        for before, after in ((image.path, again[name].path), (image.bill, again[name].bill)):
            with open(before, "rb") as first, open(after, "rb") as second:
                assert hashlib.file_digest(first, "sha256").hexdigest() == hashlib.file_digest(second, "sha256").hexdigest(), before
