#!/usr/bin/env bash
# Sets up LiteRT for aarch64 under qemu-user in a folder: tests/exporters/tflite/arm64.sh FOLDER
#
# FOLDER/python is then a Python that computes as an arm64 phone does: Debian's Python and C library
# for aarch64, the wheels of NumPy and of the LiteRT that PYTHON has, and qemu to run them. Nothing
# is installed on this machine, and root is not needed. Removing FOLDER undoes it all.
#
# qemu 7.2, of Debian 12, ends LiteRT 2.3 with a segmentation fault; 10.0, of Debian 13, runs it.
set -euo pipefail

folder=$(mkdir -p "${1:?name the folder to set up}" && cd "$1" && pwd)
python=${PYTHON:-python3}
suite=trixie
version=3.13
keys=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "arm64.sh: $*" >&2
  exit 1
}
for tool in apt-get dpkg dpkg-deb; do
  command -v $tool >/dev/null || fail "$tool is missing: this needs Debian, or what derives from it."
done
test -r $keys || fail "$keys is missing: apt-get install debian-archive-keyring"
litert=$("$python" -c 'import importlib.metadata as m; print(m.version("ai-edge-litert"))' 2>&-) ||
  fail "$python does not run or has no ai-edge-litert; set PYTHON to one that has."

# A package manager of its own, which believes that nothing is installed: it fetches whatever a
# Python for arm64 depends on, down to the C library.
apt=$folder/apt root=$folder/root host=$(dpkg --print-architecture)
rm -rf "$folder/python" "$apt" "$root"
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root/usr/lib"
touch "$apt/status"
echo "deb [signed-by=$keys] http://deb.debian.org/debian $suite main" >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; "$host"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
END
export APT_CONFIG=$apt/apt.conf
apt-get -qq --error-on=any update || fail "cannot reach deb.debian.org."
apt-get -qq --yes --download-only install \
  python$version-minimal libpython$version-stdlib libstdc++6 "qemu-user:$host" >/dev/null

ln -s usr/lib "$root/lib"
for package in "$apt"/archives/*_{arm64,all}.deb; do
  dpkg-deb --extract "$package" "$root"
done
dpkg-deb --fsys-tarfile "$apt"/archives/qemu-user_*_"$host".deb |
  tar --extract --directory "$folder" --strip-components 3 ./usr/bin/qemu-aarch64
rm -r "$apt"

"$python" -m pip install --quiet --no-compile --target "$root/usr/lib/python3/dist-packages" \
  --only-binary :all: --python-version $version --platform manylinux_2_28_aarch64 \
  --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
  "ai-edge-litert==$litert" numpy

cat >"$folder/python.part" <<END
#!/bin/sh
unset PYTHONPATH PYTHONHOME
exec "$folder/qemu-aarch64" -L "$root" "$root/usr/bin/python$version" "\$@"
END
chmod +x "$folder/python.part"
# This also compiles the modules, which under qemu would take seconds at each start.
env --unset PYTHONDONTWRITEBYTECODE "$folder/python.part" -c "import ai_edge_litert.interpreter" ||
  fail "LiteRT does not start."
mv "$folder/python.part" "$folder/python"
