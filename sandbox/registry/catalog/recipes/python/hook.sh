#!/bin/sh
# Makes Debian's Python ($1 is the root filesystem) look as it does in the official image: python and
# pip below /usr/local, packages in site-packages, and pip free to install for the whole system.
set -eu
root=$1
version=$(sed -n 's/^python3=\([0-9]*\.[0-9]*\).*/\1/p' "$root/.packages")
lib=/usr/local/lib/python$version

rm -f "$root/usr/lib/python$version/EXTERNALLY-MANAGED"
mkdir -p "$root$lib/site-packages"
rmdir "$root$lib/dist-packages" 2> /dev/null || true
ln -s site-packages "$root$lib/dist-packages"

wheel=$(cd "$root" && echo usr/share/python-wheels/pip-*.whl)
chroot "$root" python3 "/$wheel/pip" install --quiet --no-index --no-compile --root-user-action=ignore "/$wheel"

ln -s "/usr/bin/python$version" "$root/usr/local/bin/python$version"
ln -s "python$version" "$root/usr/local/bin/python3"
ln -s python3 "$root/usr/local/bin/python"
