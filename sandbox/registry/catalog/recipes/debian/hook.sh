#!/bin/sh
# Runs on every Debian root filesystem ($1) after its packages are installed: what the official
# images have beyond plain Debian, and nothing of the machine that made it.
set -eu
root=$1
here=$(dirname "$0")

dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package}=${Version}\n' > "$root/.packages"

cp -R "$here/root/." "$root/"
chmod 755 "$root/usr/sbin/policy-rc.d"
rm -f "$root/etc/apt/sources.list" "$root/etc/apt/apt.conf.d/99mmdebstrap"
mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/docker"

# The day of the last password change is the day the image was made: not part of what it is.
sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\120454:/' "$root/etc/shadow"
