#!/bin/sh
# Writes for every package that was extracted ($1) a list of its files to lists/PACKAGE.
set -eu
lists=$(dirname "$0")/lists
for deb in "$1"/var/cache/apt/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar --list > "$lists/$(dpkg-deb --field "$deb" Package)"
done
