#!/bin/sh
# Build cloister_VERSION_amd64.deb from what `make build runtime` made.
# Usage: build.sh PROGRAMS PYTHON_TREE OUTPUT. Programs run on the Debian that they were built on and newer ones.
#
# debhelper, not cargo-deb: it knows units, accounts, conffiles and their life in an upgrade, as Debian's own
# packages have them, and is there on every Debian. Manual pages and completions come from the programs' own command lines.
set -eu
repository=$(cd "$(dirname "$0")/../.." && pwd)
programs=$(cd "$1" && pwd)
tree=$(cd "$2" && pwd)
mkdir -p "$3"
output=$(cd "$3" && pwd)

command -v dh >/dev/null && command -v lintian >/dev/null || {
    echo "cloister: packages are built with debhelper and checked with lintian: apt-get install debhelper lintian" >&2
    exit 1
}

version=${CLOISTER_DEB_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml" | head -n 1)}
stage=$output/cloister-$version
rm -rf "$stage"
mkdir -p "$stage/bin" "$stage/lib" "$stage/units"

cp -r "$repository/systemd/debian" "$stage/debian"
rm "$stage/debian/build.sh"
cp "$repository/systemd/sysusers.conf" "$stage/debian/cloister.sysusers"
cp "$repository/systemd/tmpfiles.conf" "$stage/debian/cloister.tmpfiles"
cp "$repository"/systemd/*.service "$repository"/systemd/*.socket "$repository"/systemd/*.slice "$stage/units"
cp "$repository/policy/policy.toml" "$stage"
cp -r "$repository/systemd/apparmor" "$stage"
mkdir -p "$stage/man" "$stage/completions/bash" "$stage/completions/zsh" "$stage/completions/fish"
cp "$programs/cloister" "$programs/cloister-gateway" "$programs/cloister-supervisor" "$stage/bin"
completions() {
    program=$1 && shift
    "$@" bash >"$stage/completions/bash/$program"
    "$@" zsh >"$stage/completions/zsh/_$program"
    "$@" fish >"$stage/completions/fish/$program.fish"
}
# The supervisor has no word of itself: what an operator asks is not in it.
for program in cloister cloister-gateway; do
    "$programs/$program" man "$stage/man"
    completions "$program" "$programs/$program" completions
done
completions cloister-supervisor "$programs/cloister" completions --program cloister-supervisor
(cd "$stage" && ls man/*.1) >"$stage/debian/cloister.manpages"
cp "$programs/cloister-engine" "$programs/libcloister_zygote.so" "$stage/lib"

# The same archive from the same tree, which takes a while and seldom changes.
if ! cmp -s "$tree/stamp" "$output/python.stamp"; then
    tar -C "$tree" --sort=name --mtime=@0 --numeric-owner -cf - . | gzip -n -6 >"$output/python.tar.gz"
    cp "$tree/stamp" "$output/python.stamp"
fi
ln "$output/python.tar.gz" "$output/python.stamp" "$stage/lib"

printf 'cloister (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" \
    "$(sed -n 's/^Maintainer: //p' "$stage/debian/control")" "$(date -R ${SOURCE_DATE_EPOCH:+-d @$SOURCE_DATE_EPOCH})" \
    >"$stage/debian/changelog"

cd "$stage"
DEB_BUILD_OPTIONS="noautodbgsym nocheck" dpkg-buildpackage --build=binary --no-sign --no-pre-clean >"$output/build.log" 2>&1 || {
    tail -n 40 "$output/build.log" >&2
    exit 1
}
package=$output/cloister_${version}_amd64.deb
lintian --allow-root --fail-on error --tag-display-limit 0 "$package"
rm -rf "$stage"
echo "$package"
